"""
(j) Framing and compression: chunks, gzip blocks and a shared window against plain streams.

1,000 streams, 100 events a second over HTTP. Streams are plain for a client of HTTP/1.0, chunked
for one of HTTP/1.1, and compressed for one that accepts gzip, in channels that are set so. Each
delivery counts as published times streams: the load generator does not decompress. The events
compress far better than real ones do; `bench/compression.py` has prices and articles.

On uvicorn also streams that are not taken over from it: each has a task of the server's loop.
"""

from tables import Column, decimal, table

from scenarios.b_steady import at_rate

STREAMS = 1000
RATE = 100
# Each with a channel of its own, and what its client's request is changed to.
FORMS = {
    "plain": ("p", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    "chunked": ("p", b"", b""),
    "gzip blocks": ("b", b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"),
    "shared window": ("w", b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"),
}
SETTINGS = {
    "channels": {"b": {"compression": "blocks"}, "w": {"compression": "shared-window"}}
}


TASKS = "chunked, a task each"


def measure(bench):
    yield from bench.each(bench.ours, coded, SETTINGS, FORMS)
    if not bench.is_full:
        return
    # Elsewhere a thread would be needed for each.
    uvicorn = [hub for hub in bench.ours if hub.server.startswith("uvicorn")]
    tasks = {TASKS: FORMS["chunked"]}
    yield from bench.each(uvicorn, coded, {"take_over": False}, tasks)


def coded(bench, hub, settings, forms):
    streams = bench.streams(STREAMS)
    with bench.rig(type(hub)(settings=settings), 2 * streams) as rig:
        for form, (channel, old, new) in bench.some([*forms.items()], 2):
            request = rig.running.stream_request(channel)
            rig.open(streams, request.replace(old, new) if old else request)
            row = at_rate(bench, rig, RATE, channel)
            rig.load.close_streams(reset=True)
            deliveries = row["published"] * streams
            yield {
                "form": form,
                "cpu_us": row["cpu_seconds"] * 1e6 / deliveries,
                "bytes": row["bytes_per_second"] * row["seconds"] / deliveries,
                **{
                    name: row[name] for name in ("foreign", "loud", "attempts", "published")
                },
            }


def tables(rows):
    for title, figure in (
        ("CPU µs per delivery, by form", "cpu_us"),
        ("Bytes per delivery, by form", "bytes"),
    ):
        columns = [
            Column(form, figure, decimal, {"form": form}) for form in (*FORMS, TASKS)
        ]
        yield table(title, rows, columns)


def plots(_):
    return ()
