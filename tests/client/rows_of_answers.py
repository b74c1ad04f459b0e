"""The table of answers: statuses, redirects, content types, and how connections end."""

from rows import END, LOST, OPEN, Row, message, typed
from scripted import READ, RESET, STREAM, head, redirect

_X = b"data: x\n\n"
_CUT = [STREAM + b"id: 1\n" + _X]
_ONE = (OPEN, message("x", "1"), LOST)

# fmt: off
# What the standard calls "fail the connection": no reconnect.
REFUSED = [
    201, 202, 203, 205, 206, 226, 299, 300, 304, 305, 306, 400, 401, 402, 403, 404, 405, 406, 408,
    409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 423, 424, 425, 426, 428, 429, 431, 451,
    500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 599, 600, 999,
]

STATUSES = [
    Row("200", [[head(200) + _X]], (OPEN, "x", LOST)),
    Row("204", [[head(204, content_type=None)]], requests=["s"], final=END),
    Row("204 with a content type", [[head(204)]], requests=["s"], final=END),
    *(Row(f"{status}", [[head(status) + _X]], final=status) for status in REFUSED),
    Row("503 with Retry-After", [[head(503, "Retry-After: 0") + _X]], final=503),
    Row("206 with a range", [[head(206, "Content-Range: bytes 0-8/9") + _X]], final=206),
    Row("100 before 200", [[b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM + _X]], (OPEN, "x", LOST)),
    Row("103 before 200", [[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + STREAM + _X]], (OPEN, "x", LOST)),
    Row("404 after a stream", [_CUT, [head(404)]], _ONE, ["s", "s id=1"], 404),
]

# Chromium returns to the last address after each redirect, we only after permanent ones: see
# the table of differences.
MOVES = [301, 302, 303, 307, 308]
_PERMANENT = [301, 308]
REDIRECTS = [
    *(Row(f"{status}", [[redirect(status, "{BASE}b")], _CUT], _ONE, ["s", "b", "b id=1"]) for status in _PERMANENT),
    *(
        Row(f"{first}, then {second}", [[redirect(first, "{BASE}b")], [redirect(second, "{BASE}c")], _CUT], _ONE, ["s", "b", "c", "c id=1"])
        for first in _PERMANENT for second in _PERMANENT
    ),
    *(Row(f"{status} to another origin", [[redirect(status, "{OTHER}b")], _CUT], _ONE, ["s", "other:b", "other:b id=1"]) for status in _PERMANENT),
    Row("redirects on reconnects", [[redirect(301, "{BASE}b")], _CUT, [redirect(308, "{BASE}c")], _CUT, _CUT],
        _ONE * 3, ["s", "b", "b id=1", "c id=1", "c id=1", "c id=1"]),
    Row("relative", [[redirect(301, "b")], _CUT], _ONE, ["s", "b", "b id=1"]),
    Row("relative, with a query", [[redirect(301, "?a=1&b=%20")], _CUT], _ONE, ["s", "s?a=1&b=%20", "s?a=1&b=%20 id=1"]),
    Row("with a fragment", [[redirect(301, "b#c")], _CUT], _ONE, ["s", "b", "b id=1"]),
    Row("to itself", [[redirect(302, "s")], _CUT], _ONE, ["s", "s", "s id=1"]),
    *(
        row for status in MOVES for row in (
            Row(f"{status} to 404", [[redirect(status, "b")], [head(404)]], (), ["s", "b"], 404),
            Row(f"{status} to 204", [[redirect(status, "b")], [head(204)]], (), ["s", "b"]),
            Row(f"{status} to html", [[redirect(status, "b")], [head(content_type="text/html")]], (), ["s", "b"], 200),
            Row(f"{status} to ftp:", [[redirect(status, "ftp://127.0.0.1/")]], final=status),
            # No stream has come from there: the address stays.
            Row(f"{status} to an address that is gone", [[redirect(status, "{GONE}")], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
            Row(f"{status} to one that ends without an answer", [[redirect(status, "b")], [], _CUT], (LOST, *_ONE), ["s", "b", "s", "s id=1"]),
            Row(f"{status} to a port that is none", [[redirect(status, "http://127.0.0.1:65536/")], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
            Row(f"{status} to an address that is none", [[redirect(status, "http://[")], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
        )
    ),
    *(Row(f"{status} without Location", [[head(status) + _X]], final=status) for status in MOVES),
    Row("20 of them", [*([redirect(301, f"b{n}")] for n in range(20)), _CUT],
        _ONE, ["s", *(f"b{n}" for n in range(20)), "b19 id=1"]),
    Row("21 of them", [*([redirect(302, f"b{n}")] for n in range(21)), _CUT],
        (LOST, *_ONE), ["s", *(f"b{n}" for n in range(20)), "s", "s id=1"]),
    Row("21 of them, after a stream", [_CUT, *([redirect(302, f"b{n}")] for n in range(21)), _CUT],
        (*_ONE, LOST, *_ONE), ["s", "s id=1", *(f"b{n} id=1" for n in range(20)), "s id=1", "s id=1"]),
]

CONTENT_TYPES = [
    *(typed(value, accepted=True) for value in (
        "text/event-stream", "TEXT/Event-Stream", " text/event-stream\t", "text/event-stream;charset=utf-8",
        "text/event-stream; charset=UTF-8", 'text/event-stream ; charset="utf-8"', "text/event-stream; charset=",
        "text/event-stream;", "text/event-stream; rubbish", "text/event-stream;;;=;x", "text/event-stream; a=b; charset=utf-8",
        "text/event-stream; charset=utf-8; charset=latin-1", "text/event-stream,text/event-stream", "text/html, text/event-stream",
    )),
    *(typed(value, accepted=False) for value in (
        None, "", "text/plain", "text/html", "application/json", "application/octet-stream", "text/event-streams",
        "text/event", "xtext/event-stream", "text /event-stream", "text/ event-stream", ";text/event-stream",
        "text/event-stream, text/html", "*/*", "text/*", "rubbish",
    )),
    # Fetch: the last one that is a type counts.
    typed("text/event-stream", "Content-Type: text/html", accepted=True),
    typed("text/html", "Content-Type: text/event-stream", accepted=False),
]

ENDS = [
    Row("no answer", [[], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("a reset, no answer", [[RESET], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("rubbish", [[b"rubbish\r\n\r\n"], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("a stream without a head", [[_X], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("no bytes", [[STREAM], _CUT], (OPEN, LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("no bytes, a reset", [[STREAM, READ, RESET], _CUT], (OPEN, LOST, *_ONE), ["s", "s", "s id=1"]),
    Row("a reset", [[*_CUT, READ, RESET]], _ONE, ["s", "s id=1"]),
    Row("a reset in an event", [[*_CUT, b"id: 2\ndata: y\n", READ, RESET]], _ONE, ["s", "s id=1"]),
    Row("HTTP/1.0", [[b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + _X]], (OPEN, "x", LOST)),
    Row("Content-Length is met", [[head(200, "Content-Length: 9") + _X]], (OPEN, "x", LOST)),
    Row("Content-Length is less", [[head(200, "Content-Length: 9") + _X * 2]], (OPEN, "x", LOST)),
    Row("Content-Length is more", [[head(200, "Content-Length: 10") + _X, READ]], (OPEN, "x", LOST)),
    Row("Content-Length is 0", [[head(200, "Content-Length: 0")]], (OPEN, LOST)),
    Row("the last chunk", [[head(200, "Transfer-Encoding: chunked") + b"9\r\n" + _X + b"\r\n0\r\n\r\n"]], (OPEN, "x", LOST)),
    Row("no last chunk", [[head(200, "Transfer-Encoding: chunked") + b"9\r\n" + _X + b"\r\n", READ]], (OPEN, "x", LOST)),
    Row("in a chunk", [[head(200, "Transfer-Encoding: chunked") + b"20\r\n" + _X, READ]], (OPEN, "x", LOST)),
    Row("an invalid chunk", [[head(200, "Transfer-Encoding: chunked") + b"9\r\n" + _X + b"\r\n", READ, b"zz\r\n"]], (OPEN, "x", LOST)),
    Row("an unknown coding", [[head(200, "Content-Encoding: foo") + _X]], (OPEN, "x", LOST)),
    Row("a broken coding", [[head(200, "Content-Encoding: gzip") + _X]], (OPEN, LOST)),
    Row("again and again", [[], [STREAM], [RESET], _CUT, [STREAM], [], [STREAM]],
        (LOST, OPEN, LOST, LOST, *_ONE, OPEN, LOST, LOST, OPEN, LOST), [*["s"] * 4, *["s id=1"] * 4]),
]
# fmt: on
