"""Where Chromium does something else than we do, and why we do not follow it."""

from dataclasses import dataclass

from rows import GIVEN_UP, LOST, OPEN, Row, message
from rows_of_answers import MOVES
from scripted import STREAM, head, redirect

_X = b"data: x\n\n"
_CUT = [STREAM + b"id: 1\n" + _X]
_ONE = (OPEN, message("x", "1"), LOST)


@dataclass(frozen=True)
class Difference:
    """
    A script of which Chromium makes something else than we do.

    Attributes:
        ours: The script, and what we make of it.
        log: What Chromium makes of it.
        reason: Why we differ.
        requests: Chromium's requests.
    """

    ours: Row
    log: tuple
    reason: str
    requests: list

    @property
    def chromium(self):
        """The script, and what Chromium makes of it."""
        return Row(self.ours.name, self.ours.connections, self.log, self.requests)


_TEMPORARY = (
    "the standard and Chromium repeat the connection to where the last redirect has led; we return to the first address unless "
    "each redirect was permanent (RFC 9110 section 15.4), as the node that a temporary one names may be gone by then"
)

# fmt: off
DIFFERENCES = [
    *(
        Difference(
            Row(f"{status} to {name}", [[redirect(status, location + "b")], _CUT], _ONE, ["s", f"{origin}b", "s id=1"]),
            _ONE, _TEMPORARY, ["s", f"{origin}b", f"{origin}b id=1"],
        )
        for status in (302, 303, 307)
        for name, location, origin in (("the same origin", "{BASE}", ""), ("another origin", "{OTHER}", "other:"))
    ),
    *(
        Difference(
            Row(f"{first}, then {second}", [[redirect(first, "{BASE}b")], [redirect(second, "{BASE}c")], _CUT], _ONE, ["s", "b", "c", "s id=1"]),
            _ONE, _TEMPORARY, ["s", "b", "c", "c id=1"],
        )
        for first in MOVES for second in MOVES if {first, second} & {302, 303, 307}
    ),
    Difference(
        Row("302 on a reconnect after 301", [[redirect(301, "{BASE}b")], _CUT, [redirect(302, "{BASE}c")], _CUT],
            _ONE * 2, ["s", "b", "b id=1", "c id=1", "b id=1"]),
        _ONE * 2, _TEMPORARY, ["s", "b", "b id=1", "c id=1", "c id=1"],
    ),
    *(
        Difference(
            Row(f"{status} to data:", [[redirect(status, "data:text/event-stream,data:x")], _CUT], requests=["s"], final=status),
            (LOST, *_ONE), "Fetch has a network error for it, and Chromium asks again for ever, though not for ftp:; we end with what is wrong",
            ["s", "s", "s id=1"],
        )
        for status in MOVES
    ),
    Difference(
        Row("id with VT or FF", [[STREAM + b"id: a\x0bb\x0cc\n" + _X]], (OPEN, message("x", "a\x0bb\x0cc"), LOST), ["s"], GIVEN_UP),
        (OPEN, message("x", "a\x0bb\x0cc"), LOST), "RFC 9110 section 5.5 has no such characters in fields, and h11 does not send them; we end with what is wrong",
        ["s", "s id=a\x0bb\x0cc"],
    ),
    *(
        Difference(
            Row(f"charset={charset}", [[head(content_type=f"text/event-stream; charset={charset}") + b"data: \xc3\xa4\n\n"]], (OPEN, "\xe4", LOST)),
            (), "the standard looks at the type alone and decodes UTF-8, whatever the charset; Chromium refuses others", ["s"],
        )
        for charset in ("latin-1", "iso-8859-1", "us-ascii", "utf8", "UTF-16", "rubbish")
    ),
    Difference(
        Row("text/event-stream rubbish", [[head(content_type="text/event-stream rubbish") + _X]], final=200),
        (OPEN, "x", LOST), "a subtype has no blanks: this is no type at all", ["s", "s"],
    ),
    Difference(
        Row("407", [[head(407) + _X]], final=407),
        (LOST,), "to Chromium only a proxy may send it, so that it is an error of the network", ["s", "s"],
    ),
    Difference(
        Row("421", [[head(421)], [head(421)]], requests=["s"], final=421),
        (), "Chromium asks once more over a new connection, as HTTP allows; our connections are new anyway", ["s", "s"],
    ),
    *(
        Difference(
            Row(f"head is cut after {start!r}", [[start], _CUT], (LOST, *_ONE), ["s", "s", "s id=1"]),
            log, "RFC 9112 section 8: a head without its end is incomplete; Chromium takes the lines that it has", requests,
        )
        for start, log, requests in (
            (b"HTTP/1.1 20", (), ["s"]),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-str", (), ["s"]),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", (OPEN, LOST, *_ONE), ["s", "s", "s id=1"]),
        )
    ),
]
# fmt: on
