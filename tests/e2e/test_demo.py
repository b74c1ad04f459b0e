"""The demo as a person uses it, in a real browser."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heliograph import Event, HubConfig
from heliograph.hub import HubThread
from servers import free_port, until

SCREENSHOTS = Path(__file__).parent.parent.parent / "screenshots"


@contextlib.contextmanager
def demo(folder, end=signal.SIGINT):
    """The demo on two free ports; its page's address and the API's process id."""
    ports = free_port(), free_port()
    command = [sys.executable, "-m", "heliograph", "demo", "--port", str(ports[0]),
               "--api-port", str(ports[1]), "--folder", str(folder)]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Shells let what they start in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - before there is any thread
    )
    try:
        line = process.stdout.readline()
        assert f"Open http://127.0.0.1:{ports[0]} (the API is on port {ports[1]})" in line
        yield process, f"http://127.0.0.1:{ports[0]}/"
    finally:
        process.send_signal(end)
        try:
            assert process.wait(20) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a demo that tests leave as they have found it."""
    with demo(tmp_path_factory.mktemp("demo")) as (_, url):
        yield url


def number(page, name):
    return int(page.inner_text(f"#{name}").replace(",", ""))


def wait_for(page, expression):
    page.wait_for_function(expression, timeout=20_000)


def open_page(browser, url, **options):
    """The page, connected, and what it complains about."""
    page = browser.new_page(**options)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(url)
    wait_for(page, "document.querySelector('#state').dataset.state === 'open'")
    wait_for(page, "+document.querySelector('#received').textContent > 5")
    return page


def is_complete(page):
    """Nothing missing, nothing twice."""
    return (number(page, "missing"), number(page, "twice")) == (0, 0)


@pytest.mark.timeout(120)
def test_nothing_is_lost(tmp_path, browser):
    """Publish, see it; kill -9 the server, publish meanwhile; see everything once, in order."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with demo(tmp_path) as (_, url):
        page = open_page(browser, url, viewport={"width": 1100, "height": 1000})
        other = open_page(browser, url)

        page.fill("#text", "Hello <b>you</b>")
        page.click("#say button")
        for one in (page, other):
            one.wait_for_selector("li:has-text('Hello <b>you</b>')")

        # Another process publishes from before the kill until after the restart.
        log = HubThread(f"sqlite:///{tmp_path}/heliograph.sqlite3", HubConfig())
        stop = threading.Event()
        sent = []

        def publish():
            # The page shows the last two hundred lines.
            while not stop.wait(0.02 if len(sent) < 100 else 0.5):
                text = f"m{len(sent)}."
                log.publish(["chat"], Event(f'{{"text": "{text}"}}', type="said"))
                sent.append(text)

        publisher = threading.Thread(target=publish)
        publisher.start()
        page.click("#restart")
        wait_for(page, "document.querySelector('#state').dataset.state === 'connecting'")
        page.wait_for_selector("li:has-text('connected again')")
        other.wait_for_selector("li:has-text('connected again')")
        stop.set()
        publisher.join()
        log.close()
        assert len(sent) > 50

        for one in (page, other):
            one.wait_for_selector(f"li:has-text('{sent[-1]}')")
            # The newest is on top; the list shows the last two hundred lines.
            texts = one.eval_on_selector_all(
                "li:not(.note) span", "all => all.map(e => e.textContent)"
            )
            got = [text for text in reversed(texts) if re.fullmatch(r"m\d+\.", text)]
            assert got == sent[-len(got) :]
            assert len(got) > 50
            assert number(one, "caught-up") > 10
            assert is_complete(one)
            assert one.complaints == []

        page.click("#cut")
        wait_for(page, "document.querySelectorAll('li.note').length >= 6")
        before = number(page, "received")
        wait_for(
            page,
            f"+document.querySelector('#received').textContent.replace(',', '') > {before + 10}",
        )
        assert is_complete(page)
        # Only this page's connection was cut.
        assert other.locator("li.note").count() == 2
        page.screenshot(path=SCREENSHOTS / "demo.png", full_page=True)
        page.close()
        other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_dark(browser, url, scheme):
    """On a telephone nothing is cut off, in either scheme."""
    SCREENSHOTS.mkdir(exist_ok=True)
    viewport = {"width": 340, "height": 700}
    with open_page(browser, url, viewport=viewport, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 340
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)[:3]))
        assert (brightness > 600) is (scheme == "light")
        page.screenshot(path=SCREENSHOTS / f"demo-narrow-{scheme}.png", full_page=True)


def test_needs_nothing_from_the_internet(browser, url):
    """Every request goes to this machine."""
    hosts = set()
    with browser.new_page() as page:
        page.on(
            "request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0])
        )
        page.goto(url)
        wait_for(page, "+document.querySelector('#received').textContent > 5")

    assert hosts == {"127.0.0.1"}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ends_with_everything(tmp_path, end):
    """However it is ended, the API ends as well."""
    with demo(tmp_path, end) as (process, _):
        children = (
            Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        )
        assert children
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
