"""
(j) Framing and compression: chunks, gzip blocks and a shared window against plain streams.

1,000 streams, 100 events a second over HTTP. Streams are plain for a client of HTTP/1.0, chunked
for one of HTTP/1.1, and compressed for one that accepts gzip from a hub that is set so. Each
delivery counts as published times streams: the load generator does not decompress. The events
compress far better than real ones do; `bench/compression.py` has prices and articles.
"""

from tables import Column, decimal, table

from scenarios.b_steady import at_rate

STREAMS = 1000
RATE = 100
FORMS = ("plain", "chunked", "gzip blocks", "shared window")
COMPRESSION = {"gzip blocks": "blocks", "shared window": "shared-window"}


def measure(bench):
    for form in FORMS:
        yield from bench.each(bench.ours, coded, form)


def coded(bench, hub, form):
    streams = bench.streams(STREAMS)
    settings = {"compression": COMPRESSION.get(form)}
    with bench.rig(type(hub)(settings=settings), streams) as rig:
        request = rig.running.stream_request()
        if form == "plain":
            request = request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")
        if form in COMPRESSION:
            request = request.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n")
        rig.open(streams, request)
        row = at_rate(bench, rig, RATE)
        deliveries = row["published"] * streams
        yield {
            "form": form,
            "cpu_us": row["cpu_seconds"] * 1e6 / deliveries,
            "bytes": row["bytes_per_second"] * row["seconds"] / deliveries,
            **{name: row[name] for name in ("foreign", "loud", "attempts", "published")},
        }


def tables(rows):
    for title, figure in (
        ("CPU µs per delivery, by form", "cpu_us"),
        ("Bytes per delivery, by form", "bytes"),
    ):
        columns = [Column(form, figure, decimal, {"form": form}) for form in FORMS]
        yield table(title, rows, columns)


def plots(_):
    return ()
