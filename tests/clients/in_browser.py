"""
The clients that are run by a browser: in one Chromium, a page for each, with frames in it for
the ways of serving. There is another page for those that use TLS.

``in_python.py`` describes the commands and what is written. A frame writes with
``console.log``; ``pages/seen.js`` is what all of them share.
"""

import asyncio
import json
import sys
from urllib.parse import urlencode, urlsplit

from playwright.async_api import async_playwright

from browser import EXECUTABLE, FLAGS

# What is of one site shares a process, which is started once.
ONE_PROCESS = "--process-per-site"

# Small enough that all are visible: others are slowed down.
ADD_FRAME = """(url) => {
    const frame = document.createElement("iframe")
    frame.width = frame.height = 60
    frame.src = url
    document.body.append(frame)
}"""


class Pages:
    """The pages, by the name of the client and the scheme."""

    def __init__(self, context):
        self._context = context
        self._opening = {}

    async def start(self, *, of, client, url, last_event_id, gzip):
        """Start a client in a frame of its page. Chromium asks for gzip in any case."""
        parts = urlsplit(url)
        pages = f"{parts.scheme}://{parts.netloc}/pages"
        key = client, parts.scheme
        if key not in self._opening:
            self._opening[key] = asyncio.create_task(self._open(f"{pages}/frames.html"))
        page = await self._opening[key]
        query = {"of": of, "stream": f"{parts.path}?{parts.query}"}
        if last_event_id is not None:
            query["id"] = last_event_id
        await page.evaluate(ADD_FRAME, f"{pages}/{client}.html?{urlencode(query)}")

    async def _open(self, url):
        page = await self._context.new_page()
        page.on("console", lambda message: passed_on(message.text))
        page.on("pageerror", lambda error: print(error, file=sys.stderr, flush=True))
        await page.goto(url)
        return page


def passed_on(text):
    """Write a line of a page's log. Libraries log, too: those lines go to the error output."""
    is_ours = text.startswith('{"of":')
    print(text, file=sys.stdout if is_ours else sys.stderr, flush=True)


async def main():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=EXECUTABLE, args=[*FLAGS, ONE_PROCESS]
        )
        pages = Pages(await browser.new_context(ignore_https_errors=True))
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        starting = set()
        while line := await reader.readline():
            starting.add(asyncio.create_task(pages.start(**json.loads(line))))
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
