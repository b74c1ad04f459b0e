"""What observations mean, as tables of values."""

import dataclasses
import json

import pytest

from heliograph import Event
from heliograph.channels.position import Position, Positions
from heliograph.doctor import Target, Verdict, judge
from heliograph.doctor.observation import (
    Arrival,
    Connected,
    Exchange,
    Fault,
    Observation,
    Padding,
    Publication,
    Seen,
)
from heliograph.doctor.target import Address

PAGE = "https://page.example"
ADDRESS = Address("https://api.example/stream?channel=news")
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}


def id_of(epoch="e"):
    return Positions({"news": Position(epoch, 5)}).id


def opened(*, resumed=False, heartbeat=15.0, epoch="e", second=0.01):
    data = {"id": id_of(epoch), "channels": ["news"], "resumed": resumed, "heartbeat_seconds": heartbeat}  # fmt: skip
    return Seen(second, Event(json.dumps(data), type="heliograph.open", id=id_of(epoch)))


def gap(reason="epoch"):
    data = {"channels": ["news"], "reasons": {"news": reason}}
    return Seen(0.01, Event(json.dumps(data), type="heliograph.gap"))


def stream(*events, headers=(), without=(), beats=(), **changes):
    """A stream of Heliograph, as it should be."""
    sound = Exchange(
        ADDRESS,
        connected=Connected(
            addresses=("192.0.2.1",), tls_seconds=0.01, tls_version="TLSv1.3", alpn="h2"
        ),
        status=200,
        reason="OK",
        headers=[(name, value) for name, value in HEADERS.items() if name not in without]
        + list(headers),
        head_seconds=0.01,
        framing="chunked",
        arrivals=[
            Arrival(0.01, b":\nretry: 1\n"),
            *(Arrival(beat, b":\n") for beat in beats),
        ],
        events=list(events) or [opened()],
        last_event_id=id_of(),
        retry_ms=2000,
    )
    return dataclasses.replace(sound, **changes)


def answer(status=0, body=b"", headers=(), **changes):
    """Something else than a stream."""
    return Exchange(
        ADDRESS,
        status=status,
        headers=list(headers),
        arrivals=[Arrival(0.1, body)],
        **changes,
    )


def sound(main=None, **changes):
    """What is seen of a sound stream."""
    seen = Observation(
        Target(url=ADDRESS.url),
        main or stream(beats=[15.01]),
        plain=stream(),
        copies=[stream(opened(resumed=True)) for _ in range(8)],
        by_query=stream(opened(resumed=True)),
        strange=stream(opened(resumed=True), gap()),
        watched_seconds=15.1,
    )
    return dataclasses.replace(seen, **changes)


def published(delay=0.01, plain=0.01, *more, **changes):
    return Publication("news", "e", (delay, *more), plain, **changes)


def of_page(headers=(), *, preflight=(), credentials=False, own=(), origin=PAGE, status=204, **changes):  # fmt: skip
    """What is seen for a page of another origin."""
    target = Target(url=ADDRESS.url, origin=origin, credentials=credentials, headers=own)
    main = stream(beats=[15.01], headers=headers, origin=origin)
    asked = answer(status, headers=preflight, origin=origin)
    return sound(main, **{"target": target, "preflight": asked, **changes})


ALLOW = ("access-control-allow-origin", PAGE)
STAR = ("access-control-allow-origin", "*")
COOKIES = ("access-control-allow-credentials", "true")
IDS = ("access-control-allow-headers", "Last-Event-ID, X-Key")
BROKEN, WARNING = "broken", "warning"
FAULT = {kind: Fault(kind, "detail") for kind in ("dns", "refused", "timeout", "unreachable", "plain-port", "tls", "tls-port", "closed", "no-http")}  # fmt: skip


def at(url, status=302, location="/", *, headers=(), origin=PAGE):
    return Exchange(Address(url), origin, status=status, headers=[("location", location), *headers])  # fmt: skip


def of_plain(url, origin):
    """A page of an origin, and a stream without TLS."""
    main = stream(beats=[15.01], headers=[STAR], address=Address(url), origin=origin, connected=Connected())  # fmt: skip
    return sound(main, target=Target(url=url, origin=origin))


def with_fault(kind, detail="detail"):
    return sound(Exchange(ADDRESS, connected=Connected(fault=Fault(kind, detail)), fault=Fault(kind, detail)))  # fmt: skip


def connected(**changes):
    return sound(
        stream(beats=[15], connected=Connected(addresses=("192.0.2.1",), **changes))
    )


ROWS = {
    # The way to the server.
    "sound": (sound(), {}),
    "dns": (with_fault("dns"), {"dns": BROKEN}),
    "dns-slow": (connected(dns_seconds=3), {"dns": WARNING}),
    "refused": (with_fault("refused"), {"connection": BROKEN}),
    "timeout": (with_fault("timeout"), {"connection": BROKEN}),
    "unreachable": (with_fault("unreachable"), {"connection": BROKEN}),
    "half-of-the-addresses": (connected(failed=(("2001:db8::1", "timed out"),)), {"connection": WARNING}),
    "tls": (with_fault("tls"), {"tls": BROKEN}),
    "tls-old": (connected(tls_seconds=0.1, tls_version="TLSv1.1"), {"tls": WARNING}),
    "h2-alone": (with_fault("h2"), {"http-version": WARNING}),
    "plain-port": (with_fault("plain-port"), {"tls-to-plain-port": BROKEN}),
    "self-signed": (with_fault("certificate", "self-signed certificate"), {"certificate": BROKEN}),
    "expired": (with_fault("certificate", "certificate has expired"), {"certificate": BROKEN}),
    "name": (with_fault("certificate", "Hostname mismatch"), {"certificate": BROKEN}),
    "chain": (with_fault("certificate", "unable to get local issuer"), {"certificate": BROKEN}),
    "tls-port": (sound(answer(fault=FAULT["tls-port"])), {"plain-to-tls-port": BROKEN}),
    "no-http": (sound(answer(fault=FAULT["no-http"])), {"http": BROKEN}),
    "closed": (sound(answer(fault=FAULT["closed"])), {"http": BROKEN}),
    # The answer.
    "redirect": (sound(hops=[at("https://api.example/old")]), {"redirect": WARNING}),
    "redirect-origin": (sound(hops=[at("https://old.example/")]), {"redirect": WARNING, "redirect-origin": WARNING}),
    "redirect-loop": (sound(answer(302), hops=[at("https://api.example/x")], loop=True), {"redirect": BROKEN}),
    "redirect-nowhere": (sound(answer(302), strange_location="ftp://x"), {"redirect": BROKEN}),
    "login": (sound(answer(200, headers=[("content-type", "text/html")]), hops=[at("https://api.example/x", location="/login")]),
              {"redirect": WARNING, "login": BROKEN}),
    "401": (sound(answer(401)), {"status": BROKEN}),
    "500": (sound(answer(500)), {"status": BROKEN}),
    "504": (sound(answer(504)), {"unavailable": BROKEN}),
    "204": (sound(answer(204)), {"channel-ended": WARNING}),
    "no-type": (sound(answer(200)), {"content-type": BROKEN}),
    "json": (sound(answer(200, b"{}", [("content-type", "application/json")])), {"content-type": BROKEN}),
    # Its version and its end.
    "http-1.1": (connected(), {}),
    "http-1.0": (sound(stream(beats=[15], http_version="1.0", framing="close", connected=Connected())), {"http-version": WARNING, "framing": WARNING}),
    "length": (sound(stream(beats=[15], framing="length")), {"framing": BROKEN}),
    # What arrives.
    "no-head": (sound(answer()), {"head": BROKEN}),
    "no-head-until-full": (sound(answer(), publication=published(None, None, padding=Padding(4096, arrived=True))), {"buffering": BROKEN}),
    "late-head": (sound(stream(beats=[15], head_seconds=3, arrivals=[Arrival(3, b":\n"), Arrival(18, b":\n")])), {"head": WARNING}),
    "late-first-byte": (sound(stream(arrivals=[Arrival(4, b":\n"), Arrival(19, b":\n")])), {"first-byte": WARNING}),
    "first-byte-when-there-is-news": (sound(stream(Seen(4, Event("x", id="1")), arrivals=[Arrival(4, b"data: x\n\n")], without=["cache-control"], headers=[("cache-control", "no-cache")])), {}),
    "no-first-byte": (sound(stream(arrivals=[], events=[]), watched_seconds=20), {"first-byte": WARNING}),
    "published": (sound(publication=published()), {}),
    "late": (sound(publication=published(2, 2)), {"buffering": BROKEN}),
    "late-without-header": (sound(stream(beats=[15], without=["x-accel-buffering"]), publication=published(2, 2)), {"buffering": BROKEN, "accel-buffering": WARNING}),
    "until-full": (sound(publication=published(None, None, padding=Padding(4096, arrived=True))), {"buffering": BROKEN}),
    "late-if-compressed": (sound(stream(beats=[15], headers=[("content-encoding", "gzip")]), publication=published(None, 0.01)), {"compression": BROKEN}),
    "bursts": (sound(stream(arrivals=[Arrival(0.01, b":\nretry: 1\n"), Arrival(45, b":\n:\n:\n")])), {"buffering": WARNING}),
    "not-decoded": (sound(stream(undecodable="zlib")), {"encoding": BROKEN}),
    "oversized": (sound(stream(oversized="event of 9 bytes is larger than 8 bytes: x")), {"event-size": BROKEN}),
    "no-second": (sound(plain=answer(), copies=[answer()]), {"second-stream": BROKEN}),
    "none-opened": (sound(plain=None, copies=[], by_query=None, strange=None), {}),
    "few-threads": (sound(copies=[answer()]), {"second-stream": BROKEN}),
    "no-room": (sound(plain=answer(503), copies=[answer(503)]), {"second-stream": WARNING}),
    "no-room-politely": (sound(plain=stream(events=[], end="complete"), copies=[stream(events=[], end="complete")]), {"second-stream": WARNING}),
    # Storage.
    "memory-of-fresh": (sound(plain=stream(opened(epoch="f"))), {"memory": BROKEN}),
    "memory-of-resumed": (sound(copies=[stream(opened(resumed=True), gap())]), {"memory": BROKEN}),
    "first-event-of-a-channel": (sound(copies=[stream(opened(resumed=True, epoch="f"))]), {}),
    "reaches-some": (sound(publication=published(0.01, 0.01, None)), {"memory": BROKEN}),
    "other-storage": (sound(publication=dataclasses.replace(published(None), epoch="f")), {"storage": BROKEN}),
    "other-channel": (sound(publication=dataclasses.replace(published(None), channel="x")), {"publish": BROKEN}),
    "nowhere": (sound(publication=published(None, None, padding=Padding(9, arrived=False))), {"publish": BROKEN}),
    "not-published": (sound(publication=Publication("news", failure="no")), {"publish": BROKEN}),
    "not-published-without-stream": (sound(answer(404), publication=Publication("news", failure="no")), {"status": BROKEN, "publish": BROKEN}),
    # Ids.
    "no-ids": (sound(stream(Seen(0.1, Event("x")), beats=[15], last_event_id="")), {"resume": WARNING}),
    "dropped": (sound(copies=[stream(opened())]), {"resume": BROKEN}),
    "id-gets-nothing": (sound(copies=[stream(events=[], arrivals=[])]), {"resume": BROKEN}),
    "trimmed": (sound(copies=[stream(opened(resumed=True), gap("trimmed"))]), {"resume": WARNING}),
    "no-gap": (sound(strange=stream(opened())), {"gap": WARNING}),
    "gap-not-tried": (sound(strange=stream(events=[], end="complete")), {}),
    # Time.
    "never-a-heartbeat": (sound(stream(opened(heartbeat=None))), {"heartbeat": WARNING}),
    "rare-heartbeats": (sound(stream(opened(heartbeat=50.0), beats=[50])), {"heartbeat": WARNING}),
    "frequent-heartbeats": (sound(stream(opened(heartbeat=49.0), beats=[49])), {}),
    "heartbeat-missing": (sound(watched_seconds=18, main=stream()), {"heartbeat": BROKEN}),
    "silent-for-a-minute": (sound(stream(Seen(0.1, Event("x"))), watched_seconds=61), {"heartbeat": WARNING}),
    "never-silent": (sound(stream(Seen(0.1, Event("x")), arrivals=[Arrival(n, b"data: x\n\n") for n in range(61)]), watched_seconds=61), {}),
    "silent-for-a-minute-then-not": (sound(stream(Seen(0.1, Event("x")), arrivals=[Arrival(0.1, b"data: x\n\n"), Arrival(60, b"data: x\n\n")]), watched_seconds=61), {"heartbeat": WARNING}),
    "cut-when-silent": (sound(stream(end="cut", end_seconds=10), again=stream()), {"idle-timeout": BROKEN}),
    "cut-when-silent-without-chunks": (sound(stream(end="complete", end_seconds=10, framing="close"), again=stream()), {"framing": WARNING, "idle-timeout": BROKEN}),
    "cut-when-a-heartbeat-was-due": (sound(stream(end="cut", end_seconds=12.5), again=stream()), {"time-limit": WARNING}),
    "ended-when-silent": (sound(stream(end="complete", end_seconds=10), again=stream()), {"time-limit": WARNING}),
    "cut-after-heartbeats": (sound(stream(beats=[15, 30], end="cut", end_seconds=40), again=stream()), {"time-limit": WARNING}),
    "ended-for-good": (sound(stream(beats=[15, 30], end="complete", end_seconds=40), again=answer(502)), {"time-limit": WARNING, "close": BROKEN}),
    "ended-at-once": (sound(stream(end="complete", end_seconds=0.1), again=stream()), {"ends-at-once": BROKEN}),
    "channel-ended": (sound(stream(opened(), Seen(0.1, Event("{}", type="heliograph.end")), end="complete", end_seconds=0.1), again=answer(204)), {"channel-ended": WARNING}),
    "watched": (sound(target=Target(url=ADDRESS.url, patient_seconds=300), watched_seconds=300), {}),
    # Caches.
    "age": (sound(stream(beats=[15], headers=[("age", "9")])), {"cached": BROKEN}),
    "age-0": (sound(stream(beats=[15], headers=[("age", "0"), ("x-cache", "MISS")])), {}),
    "hit": (sound(stream(beats=[15], headers=[("x-cache", "Hit from cloudfront")])), {"cached": BROKEN}),
    "dynamic": (sound(stream(beats=[15], headers=[("cf-cache-status", "DYNAMIC")])), {}),
    "no-control": (sound(stream(beats=[15], without=["cache-control"])), {"cache-control": WARNING}),
    "public": (sound(stream(beats=[15], headers=[("cache-control", "public")])), {"cache-control": WARNING}),
    # CORS.
    "same-origin": (sound(target=Target(url=ADDRESS.url, origin="https://api.example")), {}),
    "allowed": (of_page([ALLOW], preflight=[ALLOW, IDS]), {}),
    "star": (of_page([STAR], preflight=[STAR, IDS]), {}),
    "star-for-headers": (of_page([STAR], preflight=[STAR, ("access-control-allow-headers", "*")]), {}),
    "cookies": (of_page([ALLOW, COOKIES], preflight=[ALLOW, COOKIES, IDS], credentials=True), {}),
    "missing": (of_page(), {"cors": BROKEN}),
    "twice": (of_page([ALLOW, ALLOW]), {"cors": BROKEN}),
    "twice-in-one": (of_page([("access-control-allow-origin", f"{PAGE}, {PAGE}")]), {"cors": BROKEN}),
    "other": (of_page([("access-control-allow-origin", "https://x.example")]), {"cors": BROKEN}),
    "slash": (of_page([("access-control-allow-origin", f"{PAGE}/")]), {"cors": BROKEN}),
    "star-with-cookies": (of_page([STAR, COOKIES], credentials=True), {"cors": BROKEN}),
    "no-cookies": (of_page([ALLOW], credentials=True), {"cors": BROKEN}),
    "capital-true": (of_page([ALLOW, (COOKIES[0], "True")], credentials=True), {"cors": BROKEN}),
    "null": (of_page([ALLOW], origin="null"), {"cors": BROKEN}),
    "origin-refused": (sound(answer(403, origin=PAGE), target=Target(url=ADDRESS.url, origin=PAGE), without_origin=stream()), {"cors": BROKEN}),
    "redirect-allowed": (of_page([ALLOW], preflight=[ALLOW, IDS], hops=[at("https://api.example/old", headers=[ALLOW])]), {"redirect": WARNING}),
    "redirect-refused": (of_page([ALLOW], preflight=[ALLOW, IDS], hops=[at("https://api.example/old")]), {"redirect": WARNING, "cors": BROKEN}),
    "redirect-of-the-page's-origin": (of_page([ALLOW], preflight=[ALLOW, IDS], hops=[at(f"{PAGE}/old", origin=None)]), {"redirect": WARNING, "redirect-origin": WARNING}),
    "mixed-content": (of_plain("http://api.example/", PAGE), {"mixed-content": BROKEN}),
    "mixed-content-of-this-machine": (of_plain("http://127.0.0.2/", PAGE), {}),
    "mixed-content-of-localhost": (of_plain("http://localhost/", PAGE), {}),
    "not-mixed": (of_plain("http://api.example/", "http://page.example"), {}),
    "preflight-redirected": (of_page([ALLOW], status=301), {"preflight": WARNING}),
    "preflight-unanswered": (of_page([ALLOW], status=0), {"preflight": WARNING}),
    "preflight-refused": (of_page([ALLOW], preflight=[IDS]), {"preflight": WARNING}),
    "preflight-lacks-ids": (of_page([ALLOW], preflight=[ALLOW]), {"preflight": WARNING}),
    "preflight-lacks-own": (of_page([ALLOW], preflight=[ALLOW, IDS], own=(("X-Other", "1"),)), {"preflight": BROKEN}),
    "preflight-lacks-ids-and-cookies-are-not-asked-for": (of_page([ALLOW], preflight=[ALLOW], own=(("Cookie", "a=b"), ("Sec-X", "1"))), {"preflight": WARNING}),
    "preflight-allows-own": (of_page([ALLOW], preflight=[ALLOW, IDS], own=(("X-Key", "1"),)), {}),
    "star-is-not-authorization": (of_page([STAR], preflight=[STAR, ("access-control-allow-headers", "*")], own=(("Authorization", "x"),)), {"preflight": BROKEN}),
    "star-with-credentials-is-a-name": (of_page([ALLOW, COOKIES], preflight=[ALLOW, COOKIES, ("access-control-allow-headers", "*")], credentials=True), {"preflight": WARNING}),
}  # fmt: skip


def verdicts(seen, *wanted):
    return {one.code: one.verdict.value for one in judge(seen) if one.verdict in wanted}


@pytest.mark.parametrize(("seen", "expected"), ROWS.values(), ids=ROWS)
def test_ills(seen, expected):
    """What is wrong is named, and nothing else."""
    assert verdicts(seen, Verdict.BROKEN, Verdict.WARNING) == expected


# Which of several reasons it is: a row above, or a case like it -> (code, words of what is said).
WORDS = {
    "self-signed": (ROWS["self-signed"][0], "certificate", ["signed by itself", "Let's Encrypt"]),
    "self-signed-in-older-words": (with_fault("certificate", "self signed certificate"), "certificate", ["signed by itself"]),
    "expired": (ROWS["expired"][0], "certificate", ["has expired", "Renew it"]),
    "not-yet": (with_fault("certificate", "certificate is not yet valid"), "certificate", ["not valid yet", "clocks"]),
    "name": (ROWS["name"][0], "certificate", ["is not for api.example"]),
    "name-of-an-address": (with_fault("certificate", "IP address 'x' is not valid for 'y'"), "certificate", ["is not for api.example"]),
    "chain": (ROWS["chain"][0], "certificate", ["is not trusted", "fullchain.pem"]),
    "refused": (ROWS["refused"][0], "connection", ["is refused", "Nothing listens"]),
    "timeout": (ROWS["timeout"][0], "connection", ["gets no answer", "firewall"]),
    "dropped": (ROWS["dropped"][0], "resume", ["true with ?lastEventId="]),
    "dropped-in-the-url-too": (sound(copies=[stream(opened())], by_query=stream(opened())), "resume", ["resumed: false with the header."]),
    "html": (sound(answer(200, b"<title>Shop</title>", [("content-type", "text/html")])), "content-type", ["title: Shop", "Another route"]),
    "json": (ROWS["json"][0], "content-type", ["application/json", "text: {}", "Remove what changes"]),
    "no-type": (ROWS["no-type"][0], "content-type", ["Make the application or the proxy send"]),
    "null": (ROWS["null"][0], "cors", ["see redirect-origin"]),
    "slash": (ROWS["slash"][0], "cors", ["without a final slash"]),
    "missing": (ROWS["missing"][0], "cors", ["no Access-Control-Allow-Origin"]),
    "redirect-refused": (ROWS["redirect-refused"][0], "cors", ["may not follow the redirect", "Write https://api.example/stream?channel=news in the page"]),
    "twice": (ROWS["twice"][0], "cors", ["is there twice"]),
    "star-with-cookies": (ROWS["star-with-cookies"][0], "cors", ["supports_credentials=True"]),
    "no-answer-again": (sound(stream(beats=[15], end="cut", end_seconds=20), again=answer()), "close", ["no answer", "retry: 2000"]),
    "502-again": (ROWS["ended-for-good"][0], "close", ["status 502"]),
    "another-service": (sound(answer(fault=Fault("no-http", "'SSH-2.0'"))), "http", ["another service"]),
    "not-valid": (sound(answer(fault=Fault("no-http", "'HTTP/1.1 200 OK': multiple"))), "http", ["not valid HTTP"]),
    "404": (sound(answer(404, b"no such channel", [("server", "nginx")])), "status", ["Server: nginx; text: no such channel", "No route"]),
    "redirect": (ROWS["redirect"][0], "redirect", ["Write https://api.example/stream?channel=news in the page"]),
    "redirect-to-login": (ROWS["login"][0], "redirect", ["is no stream"]),
    "401-of-user": (sound(answer(401), target=Target(url="https://me:secret@api.example/")), "status", ["were not sent: browsers block"]),
    "500": (ROWS["500"][0], "status", ["See the log"]),
    "silent": (ROWS["cut-when-silent"][0], "idle-timeout", ["10.0 s of silence", "every 15 s"]),
    "until-full": (ROWS["until-full"][0], "buffering", ["4096 bytes"]),
    "not-compressed": (ROWS["late-if-compressed"][0], "compression", ["not within the test", "(gzip)"]),
    "rare": (ROWS["rare-heartbeats"][0], "heartbeat", ["every 50 s", "not longer: HAProxy"]),
    "few-threads": (sound(copies=[stream(), answer()]), "second-stream", ["1 of 3 streams"]),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "code", "words"), WORDS.values(), ids=WORDS)
def test_words(seen, code, words):
    """The reason and what to change are those of the case."""
    (found,) = [one for one in judge(seen) if one.code == code]
    said = f"{found.title}. {found.evidence}. {found.advice}"

    assert [one for one in words if one not in said] == []


# What could not be checked.
SKIPS = {
    "little-asked": (sound(), {"buffering", "time-limit", "unavailable", "cors"}),
    "all-asked": (
        of_page(
            [ALLOW],
            preflight=[ALLOW, IDS],
            publication=published(),
            target=Target(
                url=ADDRESS.url, origin=PAGE, broker="redis://x", patient_seconds=300
            ),
            watched_seconds=300,
        ),
        {"unavailable"},
    ),
    "no-stream": (sound(answer(404)), {"no-stream"}),
    "of-others": (
        sound(stream(Seen(0.1, Event("x", id="1")), beats=[]), watched_seconds=20),
        {"buffering", "time-limit", "unavailable", "cors", "resume", "heartbeat"},
    ),
    "not-waited": (
        sound(stream(), watched_seconds=1),
        {"buffering", "time-limit", "unavailable", "cors", "heartbeat"},
    ),
    "silent": (
        sound(stream(arrivals=[], events=[], without=["cache-control"]), watched_seconds=9),
        {"buffering", "time-limit", "unavailable", "cors", "heartbeat", "first-byte"},
    ),
    "insecure": (
        sound(target=Target(url=ADDRESS.url, verify=False)),
        {"tls", "buffering", "time-limit", "unavailable", "cors"},
    ),
    "forward-proxy": (
        sound(forward_proxy="http://x"),
        {"forward-proxy", "buffering", "time-limit", "unavailable", "cors"},
    ),
}


@pytest.mark.parametrize(("seen", "expected"), SKIPS.values(), ids=SKIPS)
def test_skips(seen, expected):
    """What could not be checked is named, with the reason."""
    skips = [one for one in judge(seen) if one.verdict is Verdict.SKIPPED]

    assert {one.code for one in skips} == expected
    assert all(one.title and one.evidence for one in skips)


@pytest.mark.parametrize("seen", [seen for seen, _ in ROWS.values()], ids=ROWS)
def test_findings_are_whole(seen):
    """Each that is not fine has advice; each code is there once; the worst is not hidden."""
    findings = judge(seen)

    assert all(one.title and not one.title.endswith(".") for one in findings)
    for one in findings:
        if one.verdict in {Verdict.BROKEN, Verdict.WARNING}:
            assert one.advice.endswith("."), one
    codes = [one.code for one in findings]
    assert len(codes) == len(set(codes))
