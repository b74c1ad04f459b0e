"""
Change the state of channels at random, and write down what is about to be done, and is done.

Killed and started again it repeats what was about to be done. Arguments: the URL, the file,
the seed, how many operations there are in all.
"""

import json
import random
import sys
import time
from pathlib import Path

from heliograph import Publisher
from heliograph.errors import BrokerUnavailableError, ChannelEndedError

CHANNELS = ("a", "b", "c")


def draw(number, chance, ended):
    channel, what = chance.choice(CHANNELS), chance.random()
    operation = {"number": number, "channel": channel, "what": "publish", "key": None}
    if channel in ended:
        operation["what"] = "begin" if what < 0.1 else "end"
    elif what < 0.08:
        operation |= {"what": "forget", "key": chance.choice("xyz")}
    elif what < 0.14:
        operation["what"] = "end"
        operation["data"] = chance.choice([None, f"{channel} {number} "])
    elif what < 0.16:
        operation["what"] = "begin"
    else:
        operation["key"] = chance.choice([None, None, "", "x", "y", "z"])
        operation["data"] = f"{channel} {number} " + "-" * chance.choice([0, 9, 20_000])
    return operation


def do(publisher, operation):
    channel, key = operation["channel"], operation["key"]
    if operation["what"] == "publish":
        retaining = {} if key is None else {"retain": True, "key": key or None}
        once = f"once-{operation['number']}"
        return publisher.publish(
            operation["data"], channel=channel, idempotency_key=once, **retaining
        )
    if operation["what"] == "forget":
        return publisher.forget(channel, key=key)
    if operation["what"] == "begin":
        return publisher.begin(channel)
    try:
        data = operation.get("data")
        return publisher.end(channel) if data is None else publisher.end(channel, data)
    except ChannelEndedError:
        return publisher.position(channel)  # by the one that was killed


def main(url, path, seed, count):
    path = Path(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    ended = set()
    for line in lines:
        if line["done"] and line["what"] in {"begin", "end"}:
            (ended.add if line["what"] == "end" else ended.discard)(line["channel"])
    number = lines[-1]["number"] if lines else 0
    begun = lines[-1] if lines and not lines[-1]["done"] else None
    with Publisher(url) as publisher, path.open("a") as log:
        while True:
            if begun is None:
                number += 1
                if number > int(count):
                    return
                begun = draw(number, random.Random(f"{seed} {number}"), ended)
                print(json.dumps(begun | {"done": False}), file=log, flush=True)
            try:
                id_ = do(publisher, begun)
            except BrokerUnavailableError:
                time.sleep(0.05)
                continue
            print(json.dumps(begun | {"done": True, "id": id_}), file=log, flush=True)
            if begun["what"] in {"begin", "end"}:
                (ended.add if begun["what"] == "end" else ended.discard)(begun["channel"])
            begun = None
            time.sleep(0.01)


main(*sys.argv[1:])
