"""The clients that perform the rows: ours, in each of its forms, and Chromium's."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx2
from rows import END, GIVEN_UP, LOST, OPEN, Outcome

from browser import chromium
from heliograph.client import (
    AsyncEventSource,
    ConnectionLostError,
    EventSource,
    Reconnect,
    StreamRefusedError,
)

# A row that takes longer never ends, even on a busy machine.
_LIMIT_SECONDS = 45
_AT_ONCE = 30
_NOT_ENDED = "not ended"

_PAGE = """([items, types, limit]) => Promise.all(items.map((url) => new Promise((resolve) => {
    const log = []
    const source = new EventSource(url)
    const end = () => { clearTimeout(timer); source.close(); resolve(log) }
    const timer = setTimeout(() => { log.push("not ended"); end() }, limit)
    const listen = (event) => {
        if (event instanceof MessageEvent) {
            log.push([event.type, event.data, event.lastEventId])
            if (event.data === "close") end()
        } else if (event.type === "open") {
            log.push("open")
        } else if (source.readyState === EventSource.CLOSED) {
            end()
        } else {
            log.push("lost")
        }
    }
    for (const type of types) source.addEventListener(type, listen)
})))"""


def run_in_chromium(server, rows):
    """
    Perform rows in one page of Chromium.

    Args:
        server: The scripted server.
        rows: Any number of ``Row``.

    Returns:
        An ``Outcome`` for each row, by its name.
    """
    urls = _urls(server, "chromium", rows)
    types = {"message", "open", "error"}
    types |= {entry[0] for row in rows for entry in row.log if isinstance(entry, tuple)}
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{server.origin}/")
        logs = page.evaluate(_PAGE, [urls, sorted(types), _LIMIT_SECONDS * 1000])
    logs = [[tuple(one) if isinstance(one, list) else one for one in log] for log in logs]
    return _outcomes(server, rows, urls, [(log, None) for log in logs])


def run_in_threads(server, rows):
    """Perform rows as ``run_in_chromium`` does, with an ``EventSource`` in a thread each."""
    urls = _urls(server, "threads", rows)
    with _client(httpx2.Client) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(functools.partial(_in_thread, client), urls))
    return _outcomes(server, rows, urls, results)


def run_in_loop(server, rows, backend):
    """Perform rows as ``run_in_chromium`` does, with an ``AsyncEventSource`` in a task each."""
    urls = _urls(server, backend, rows)
    results = [None] * len(rows)

    async def perform(client, limiter, index):
        async with limiter:
            results[index] = await _in_task(client, urls[index])

    async def perform_all():
        limiter = anyio.Semaphore(_AT_ONCE)
        async with (
            _client(httpx2.AsyncClient) as client,
            anyio.create_task_group() as group,
        ):
            for index in range(len(rows)):
                group.start_soon(perform, client, limiter, index)

    anyio.run(perform_all, backend=backend)
    return _outcomes(server, rows, urls, results)


def _client(kind):
    # One for all rows: it reads the certificates of all authorities when it is built.
    return kind(limits=httpx2.Limits(max_connections=None))


def _in_thread(client, url):
    log = []
    source = EventSource(url, client=client, **_options(log))
    timer = threading.Timer(
        _LIMIT_SECONDS, lambda: (log.append(_NOT_ENDED), source.close())
    )
    timer.start()
    try:
        with source:
            for event in source:
                log.append(_entry(event))
                if event.data == "close":
                    source.close()
    except StreamRefusedError as error:
        return log, error.status
    except ConnectionLostError:
        return log, GIVEN_UP
    finally:
        timer.cancel()
    return log, END


async def _in_task(client, url):
    log = []
    with anyio.move_on_after(_LIMIT_SECONDS) as scope:
        try:
            async with AsyncEventSource(url, client=client, **_options(log)) as source:
                async for event in source:
                    log.append(_entry(event))
                    if event.data == "close":
                        await source.aclose()
        except StreamRefusedError as error:
            return log, error.status
        except ConnectionLostError:
            return log, GIVEN_UP
    if scope.cancelled_caught:
        log.append(_NOT_ENDED)
    return log, END


def _options(log):
    return {
        "reconnect": Reconnect.STRICT,
        "on_open": lambda opening: log.append(OPEN),
        "on_error": lambda error, retry_seconds: log.append(LOST),
    }


def _entry(event):
    return (event.type, event.data, event.last_event_id)


def _urls(server, party, rows):
    return [server.add(f"{party} {row.name}", row.script()) + "s" for row in rows]


def _outcomes(server, rows, urls, results):
    outcomes = {}
    for row, url, (log, final) in zip(rows, urls, results, strict=True):
        requests = server.requests(url)
        times = [request.arrived for request in requests[-2:]]
        outcomes[row.name] = Outcome(
            log, [_request(request) for request in requests], final, times[-1] - times[0]
        )
    return outcomes


def _request(request):
    last_event_id = request.header("last-event-id")
    origin = f"{request.origin}:" if request.origin else ""
    told = "" if last_event_id is None else f" id={last_event_id.decode()}"
    return f"{origin}{request.path}{told}"
