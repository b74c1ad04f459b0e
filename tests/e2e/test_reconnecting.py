"""Two hundred clients that come and go while workers are restarted."""

import asyncio
import json
import signal

import pytest

from readers import Reader, stop
from servers import gunicorn, serving

CLIENTS = 200
CHANNELS = [f"c{n}" for n in range(20)]
RESTARTS = 5
# Clients come and go for so long before each of them.
SECONDS = 2


@pytest.mark.timeout(200)
async def test_every_record_is_complete(tmp_path, chance):
    """In order, without a hole, without a duplicate, for each of them; half are compressed."""
    command = gunicorn(
        "plain:app",
        "--workers",
        "2",
        "--worker-class",
        "gthread",
        "--threads",
        "8",
        "--log-level",
        "warning",
    )
    env = {"APP_SSE_RETRY_MS": "0", "APP_SSE_COMPRESSION": "shared-window"}
    with serving(command, tmp_path, env=env) as server:
        readers = [
            Reader(
                [server.port],
                chance.sample(CHANNELS, chance.choice([1, 1, 2, 5, 20])),
                asks_for_gzip=bool(n % 2),
            )
            for n in range(CLIENTS)
        ]
        ending = asyncio.Event()
        tasks = [asyncio.create_task(reader.run(chance, ending)) for reader in readers]
        # A record begins where the client's first stream does, so all begin at the start.
        while not all(reader.last_event_id for reader in readers):
            await asyncio.sleep(0.05)

        published = dict.fromkeys(CHANNELS, 0)

        async def publish(channels):
            while not ending.is_set():
                channel = chance.choice(channels)
                body = json.dumps([channel, published[channel]]).encode()
                try:
                    await post(server.port, f"/publish?channel={channel}", body)
                except OSError:
                    continue  # a worker that was about to end; it may have been stored
                published[channel] += 1
                await asyncio.sleep(chance.random() * 0.02)

        publishers = [asyncio.create_task(publish(CHANNELS[n::4])) for n in range(4)]
        for _ in range(RESTARTS):
            await asyncio.sleep(SECONDS)
            before = set(server.workers())
            server.signal(signal.SIGHUP)
            while before & set(server.workers()):
                await asyncio.sleep(0.05)
        # A post that the old worker does not answer is repeated.
        await asyncio.sleep(3)
        ending.set()
        await asyncio.gather(*publishers)

        def is_complete(reader):
            # On a busy machine chance may have left a channel out.
            return all(
                not published[name]
                or (reader.record[name] and reader.record[name][-1] >= published[name] - 1)
                for name in reader.channels
            )

        while not all(is_complete(reader) for reader in readers):
            await asyncio.sleep(0.1)
        # Whoever has seen all ends is told not to come again, and nobody else.
        for name in CHANNELS:
            await post(server.port, f"/end?bare&channel={name}", b"")
        await asyncio.gather(*(reader.done.wait() for reader in readers))
        failures = await stop(readers, tasks)

    assert failures == []
    assert sum(published.values()) > 50
    assert sum(reader.connections for reader in readers) > 2 * CLIENTS
    assert [reader.gaps for reader in readers if reader.gaps] == []
    assert all(sorted(reader.ends) == sorted(reader.channels) for reader in readers)
    for reader in readers:
        for record in reader.record.values():
            # A publish whose answer was lost may have been stored and was then repeated:
            # the number comes twice, as two events, for everyone alike.
            assert record == sorted(record)
            assert set(record) == set(range(len(set(record))))
    for name in CHANNELS:
        records = {tuple(r.record[name]) for r in readers if name in r.record}
        assert len(records) == 1
    assert "Traceback" not in server.log_text()


async def post(port, path, body):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(answer)
