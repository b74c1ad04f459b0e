"""The first refusal for each reason is logged at ``INFO``; lines and memory are bounded."""

import logging
import threading

import pytest

from heliograph.cors import CorsRequest
from heliograph.documentation import page
from heliograph.faces.cors_log import RefusalLog

A = "https://a.example"
WHY = f"the policy's origins do not allow '{A}'"
MORE = (
    ". This reason is not logged again at INFO. See"
    f' "When a page is refused" in {page("cors.md")}'
)
TOO_MANY = "too many different reasons for refusals: new ones are logged at DEBUG only "


def request(method="GET", path="/x", **fields):
    return CorsRequest(method, path, **{"origin": A, **fields})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 5.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refusals(clock):
    return RefusalLog(logging.getLogger("heliograph.cors"), clock)


@pytest.fixture
def lines(caplog):
    """The lines so far, each with its level, and those alone that are at a level."""
    caplog.set_level(logging.DEBUG, "heliograph.cors")

    def lines(level=None):
        found = [(r.levelname, r.getMessage()) for r in caplog.records]
        return found if level is None else [text for name, text in found if name == level]

    return lines


# (request, options, the line at INFO up to the reason)
FIRST = [
    pytest.param(request(), {}, "refused GET '/x'", id="get"),
    pytest.param(request("M-SEARCH"), {}, "refused M-SEARCH '/x'", id="token"),
    pytest.param(request("A\x1b[1m\n"), {}, r"refused 'A\x1b[1m\n' '/x'", id="method-is-escaped"),
    pytest.param(request("X" * 99), {}, f"refused {'X' * 32} '/x'", id="long-method"),
    pytest.param(request(path="/a\r\nFAKE\xe4"), {}, r"refused GET '/a\r\nFAKE\xe4'", id="path-is-escaped"),
    pytest.param(request(path="/" * 8000), {}, f"refused GET '{'/' * 200}'", id="long-path"),
    pytest.param(request(), {"is_handshake": True}, "refused a WebSocket at '/x'", id="handshake"),
    pytest.param(
        request("POST"), {"is_answered": True}, "answered POST '/x' without CORS headers, so the page cannot read it", id="answered"
    ),
    pytest.param(request("POST", host="b.example"), {}, "refused POST '/x'", id="page-of-another-host"),
    pytest.param(
        request("OPTIONS", host="a.example", request_method="PUT"), {}, "refused OPTIONS '/x'", id="preflights-are-never-from-own-pages"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "options", "beginning"), FIRST)
def test_each_reason_is_news_once(refusals, lines, asked, options, beginning):
    """The first line has the reason and the page that helps; the others are at DEBUG."""
    for _ in range(3):
        refusals.add(asked, WHY, **options)

    assert lines() == [
        ("INFO", f"{beginning}: {WHY}{MORE}"),
        *[("DEBUG", f"{beginning}: {WHY}")] * 2,
    ]
    assert all(text.isprintable() for _, text in lines())


def test_own_pages_are_no_news(refusals, lines):
    """A browser sends Origin with a POST to the page's own origin, which reads the answer."""
    refusals.add(request("POST", host="a.example"), WHY)
    refusals.add(request("POST", host="b.example"), WHY)

    assert [level for level, _ in lines()] == ["DEBUG", "INFO"]


def test_nothing_is_remembered_that_is_not_logged(refusals, lines, caplog):
    """Where INFO is off, the first line after it is switched on is there."""
    with caplog.at_level(logging.WARNING, "heliograph.cors"):
        refusals.add(request(), WHY)
    refusals.add(request(), WHY)

    assert [level for level, _ in lines()] == ["INFO"]


def test_clients_cannot_fill_the_log(refusals, lines, clock):
    """Ten reasons a minute, 500 in all, and lines that say when others are left out."""
    for minute in range(100):
        for n in range(200):
            refusals.add(request(), f"reason {minute}-{n}")
        clock.now += 60

    news = lines("INFO")
    omitted = [text for text in news if text.startswith("too many")]
    assert len(news) - len(omitted) == 500
    assert omitted == [f"{TOO_MANY}for the rest of this minute"] * 49 + [
        f"{TOO_MANY}from now on"
    ]
    assert len(lines("DEBUG")) == 100 * 200 - 500


def test_what_was_left_out_is_news_later(refusals, lines, clock):
    """A reason that got no line gets one in the next minute."""
    for n in range(10):
        refusals.add(request(), f"reason {n}")
    refusals.add(request(), WHY)
    clock.now += 59
    refusals.add(request(), WHY)
    clock.now += 1
    refusals.add(request(), WHY)

    assert lines("INFO")[10:] == [
        f"{TOO_MANY}for the rest of this minute",
        f"refused GET '/x': {WHY}{MORE}",
    ]


def test_threads(refusals, lines):
    """Several threads that meet the same reasons log each once."""
    barrier = threading.Barrier(8)

    def refuse():
        barrier.wait(20)
        for n in range(200):
            refusals.add(request(), f"reason {n}")

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines("INFO")) == 11
    assert len(set(lines("INFO"))) == 11
