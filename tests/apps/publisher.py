"""
A plain script that publishes: numbers to channels, until its standard input is closed.

``publisher.py URL CHANNEL…``: publishes to channels whose number is even wait until it is
done; to the others they fail at once, and the script goes on with the next number. Writes
what has returned, a channel and a number in each line.
"""

import json
import os
import random
import select
import sys
import threading
import time

from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.hub import HubThread


def publish(hub, channel, pause_seconds):
    n = 0
    while not ended.is_set():
        try:
            hub.publish([channel], Event(json.dumps([channel, n])))
        except BrokerUnavailableError:
            pass
        else:
            os.write(1, f"{channel} {n}\n".encode())
        n += 1
        time.sleep(random.random() * pause_seconds)


ended = threading.Event()
url, *channels = sys.argv[1:]
patient = HubThread(url, HubConfig(publish_waits=True, publish_timeout_seconds=None))
impatient = HubThread(url, HubConfig(publish_timeout_seconds=5.0))
threads = [
    threading.Thread(
        target=publish,
        args=(impatient if n % 2 else patient, channel, 0.03 * len(channels)),
    )
    for n, channel in enumerate(channels)
]
for thread in threads:
    thread.start()
select.select([sys.stdin], [], [])
ended.set()
for thread in threads:
    thread.join()
