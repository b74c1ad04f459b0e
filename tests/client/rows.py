"""What a row of the tables is: a script, and what a client makes of it."""

from dataclasses import dataclass
from typing import NamedTuple

from scripted import STREAM, head

OPEN = "open"
LOST = "lost"  # an error after which the client reconnects

END = "end"  # by 204, or because the client closed
GIVEN_UP = "given up"  # by an error of the network after which there is no reconnect


class Outcome(NamedTuple):
    """
    What a client made of a script.

    Attributes:
        log: OPEN, LOST and messages, in their order.
        requests: The path of each request, after "other:" at the other origin, and before
            " id=" with the Last-Event-ID, if there was one.
        final: END, GIVEN_UP, or the status of the response that was refused. None for a browser,
            which does not tell.
        waited_seconds: Time between the last two requests; None in what is expected.
    """

    log: list
    requests: list
    final: object
    waited_seconds: float | None = None


def message(data, id="", type="message"):
    """Return the entry of a log for a message."""
    return (type, data, id)


@dataclass(frozen=True)
class Row:
    """
    A script, and what a client makes of it.

    Attributes:
        name: What the row shows.
        connections: The script.
        log: What comes after that first connection. A str is short for an untyped message
            without an id, unless it is OPEN or LOST.
        requests: The requests after the first, or None if all are "s": one for each
            connection, and one for the 204 if it ends with that.
        final: END, GIVEN_UP, or the status of the response that is refused.
        is_hurried: Whether a first connection is put before the script that sends
            ``retry: 1``, as nobody wants to wait.
    """

    name: str
    connections: list
    log: tuple = ()
    requests: list | None = None
    final: object = END
    is_hurried: bool = True

    def script(self):
        """Return all connections."""
        first = [[STREAM + b"retry: 1\n\n"]] if self.is_hurried else []
        return [*first, *self.connections]

    def outcome(self):
        """Return what is expected."""
        requests = self.requests
        if requests is None:
            requests = ["s"] * (len(self.connections) + (self.final == END))
        log = [
            message(entry)
            if isinstance(entry, str) and entry not in (OPEN, LOST)
            else entry
            for entry in self.log
        ]
        if self.is_hurried:
            log, requests = [OPEN, LOST, *log], ["s", *requests]
        return Outcome(log, requests, self.final)


def stream(name, steps, *events, last=None, closed=False):
    """
    Return the row of one stream that is cut.

    Args:
        name: What the row shows.
        steps: Bytes, or a list of steps, after the head.
        events: Messages, or str for those without type and id.
        last: The Last-Event-ID of the reconnect.
        closed: Whether the client closes; it does at a message whose data is "close".
    """
    steps = [steps] if isinstance(steps, bytes) else steps
    after = "s" if last is None else f"s id={last}"
    return Row(
        name,
        [[STREAM, *steps]],
        (OPEN, *events) if closed else (OPEN, *events, LOST),
        ["s"] if closed else ["s", after],
    )


def typed(content_type, *lines, accepted):
    """Return the row of a stream with this content type."""
    name = f"content type {content_type!r} {' '.join(lines)}"
    body = "data: \xe4\n\n".encode()
    connections = [[head(200, *lines, content_type=content_type) + body]]
    if accepted:
        return Row(name, connections, (OPEN, "\xe4", LOST))
    return Row(name, connections, final=200)
