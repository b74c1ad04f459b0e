"""
(f) Many channels: what an event costs beside channels and streams that it does not concern.

Each event is delivered by itself. At 30 events a second
- to 1,000 streams of one channel, and then to the 64 channels, in turns, of 1,000 streams that
  have them all.

By one connection without pause
- to a channel with one stream, of a server that has no other and of one with 10,000 streams of as
  many other channels: the cost must not grow. The two take turns, and the medians count;
- one event to each of these 10,000 channels.

Processor time for each delivery is that of all processes of the hub, publishing over HTTP
included. Only hubs whose streams can have several channels take part.
"""

from rig import median_row
from tables import Column, count, decimal, table

CHANNELS = 10_000
STREAMS = 1000
TOGETHER = 64
SECONDS = 2
# Of a server with few and one with many channels, and how long one is.
TURNS, TURN_SECONDS = 11, 0.6
# At which a pass over all streams ends before the next event comes.
RATE = 30
PEERS = ("nchan", "Centrifugo")

ALONE, BESIDE = "1 stream", "1 stream beside 10,000"
EACH = "10,000 channels"
ONE, MANY = "1,000 streams", "1,000 streams of 64 channels"


def measure(bench):
    peers = [hub for hub in bench.peers if hub.name.startswith(PEERS) and bench.is_full]
    yield from bench.each([*bench.ours, *peers], channels)


def channels(bench, hub):
    with bench.rig(hub, bench.streams(STREAMS)) as rig:
        yield from together(bench, rig)
    with bench.rig(hub, 1) as alone, bench.rig(hub, bench.streams(CHANNELS) + 1) as rig:
        yield from many(bench, alone, rig)


def together(bench, rig):
    names = [f"t{n}" for n in range(TOGETHER)]
    streams, seconds = bench.streams(STREAMS), bench.seconds(SECONDS)
    publish = rig.running.publish_request()
    rig.open(streams)
    rig.warm_up(0.5, publish=publish, rate=RATE)
    yield {"what": ONE} | rig.measure(seconds, publish=publish, rate=RATE)
    rig.load.close_streams(reset=True)
    rig.open(streams, rig.running.stream_request(names), group="together")
    publishes = [rig.running.publish_request(one) for one in names]
    row = rig.measure(seconds, publish=publishes, rate=RATE, check=False)
    row["holes"] = row["published"] * streams - row["deliveries"]
    yield {"what": MANY} | row


def many(bench, alone, rig):
    names = [f"c{n}" for n in range(bench.streams(CHANNELS))]
    publish = rig.running.publish_request("x")
    for one in (alone, rig):
        one.open(1, one.running.stream_request("x"), group="x")
        one.warm_up(0.5, publish=publish)
    rig.open(len(names), [rig.running.stream_request(one) for one in names])
    turns = {ALONE: [], BESIDE: []}
    for _ in bench.some(range(TURNS), 2):
        for what, one in ((ALONE, alone), (BESIDE, rig)):
            turns[what].append(one.measure(bench.seconds(TURN_SECONDS), publish=publish))
    for what, rows in turns.items():
        # Nothing is published to the others.
        yield {"what": what} | median_row(rows) | {"silent": 0}
    each = [rig.running.publish_request(one) for one in names]
    row = rig.measure(30, publish=each, count=len(each), check=False)
    row["silent"] -= 1
    row["holes"] = row["published"] - row["deliveries"]
    yield {"what": EACH} | row


def tables(rows):
    yield table(
        "CPU µs per delivery, one event at a time",
        rows,
        [
            Column(what, "cpu_us_per_delivery", decimal, {"what": what}, min)
            for what in (ALONE, BESIDE, EACH, ONE, MANY)
        ],
    )
    yield table(
        "Events a second, one at a time",
        rows,
        [
            Column(what, "published_per_second", count, {"what": what}, max)
            for what in (ALONE, BESIDE, EACH)
        ],
    )


def plots(_):
    return ()
