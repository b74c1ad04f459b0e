"""Debian's Chromium, driven by Playwright."""

import contextlib

from playwright.sync_api import sync_playwright

EXECUTABLE = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium():
    """A browser with an empty profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def open_ten_streams(page):
    """Open a stream each of the channels c0 to c9; what comes is listed in ``got``."""
    page.evaluate(
        """() => {
            window.got = []
            window.sources = Array.from({length: 10}, (_, n) => {
                const source = new EventSource(`/stream?channel=c${n}`)
                source.onmessage = (event) => got.push(`${n} ${event.data}`)
                return source
            })
        }"""
    )
    page.wait_for_function("sources.every((source) => source.readyState === 1)")
