"""
What happens while Redis cannot be reached: errors, and telling the listener.

Everything in this package that reports that Redis is unavailable does it by what is in this
module. Delays between tries are those of :mod:`heliograph.retry`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ...errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ..base import Listener

__all__ = [
    "LineStates",
    "is_of_wrong_server",
    "is_worth_repeating",
    "reason_of",
    "unavailable",
    "unavailable_errors",
]

# Codes of refusals by a server that is not, or not yet, the one to ask. It has done
# nothing, and a new connection may lead to another one. Not among them are MOVED, ASK and
# TRYAGAIN, which a cluster follows; BUSY, OOM and MISCONF, which come from the right server
# and last; NOAUTH and NOPERM, which are for people.
_WRONG_SERVER = ("READONLY", "NOREPLICAS", "MASTERDOWN", "LOADING", "CLUSTERDOWN")

# Part of a message of the driver -> what is shown instead.
_IN_WORDS = {
    "UNKNOWN while writing to socket": "the connection was closed while a command was sent",
    # The driver has not read what the server said.
    "Connection not ready": "the server ended the connection before it was asked anything,"
    " as Redis does when it has as many clients as it may have (maxclients)",
}


class LineStates:
    """
    Tells a listener when the first of several lines goes down, and when all are up.

    Args:
        resource: The address, as errors show it.
        listener: Told.
    """

    def __init__(self, resource: str, listener: Listener) -> None:
        self._resource = resource
        self._listener = listener
        self._down: set[Hashable] = set()

    def is_down(self, line: Hashable) -> bool:
        """
        Return whether a line is down.

        Args:
            line: Whatever identifies it.
        """
        return line in self._down

    def on_up(self, line: Hashable) -> None:
        """
        Record that a line is up, or that nobody needs it any more.

        Args:
            line: Whatever identifies it.
        """
        if line in self._down:
            self._down.discard(line)
            if not self._down:
                self._listener.on_connection(up=True, reason="")

    def on_down(self, line: Hashable, reason: str) -> None:
        """
        Record that a line is down.

        Args:
            line: Whatever identifies it.
            reason: What the driver or Redis said.
        """
        if not self._down:
            self._listener.on_connection(up=False, reason=f"{self._resource}: {reason}")
        self._down.add(line)


@contextmanager
def unavailable_errors(resource: str) -> Iterator[None]:
    """
    Raise the driver's errors as the one that a broker may raise.

    Args:
        resource: The address, as errors show it.

    Raises:
        BrokerUnavailableError: Instead of any error of the driver or the connection.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise unavailable(resource, error) from error


def unavailable(resource: str, error: Exception) -> BrokerUnavailableError:
    """
    Return the error that a broker raises for one of the driver or the connection.

    Args:
        resource: The address, as errors show it.
        error: The driver's.
    """
    return BrokerUnavailableError(resource, reason_of(error))


def is_of_wrong_server(error: object) -> bool:
    """
    Return whether a server has refused a call because it is not the one to ask.

    Args:
        error: Any error, or a reply.
    """
    # Servers before Redis 7 write the code into an error of the script.
    return isinstance(error, RedisError) and any(
        code in f"{error.status_code} {error}" for code in _WRONG_SERVER
    )


def is_worth_repeating(error: BaseException | None) -> bool:
    """
    Return whether a call that has failed may succeed at once on a new connection.

    It may have been done if the connection was lost before the answer.

    Args:
        error: Of the driver or the connection; :obj:`None` for none.
    """
    is_lost = isinstance(error, RedisConnectionError)
    return is_of_wrong_server(error) or (
        is_lost and not isinstance(error, AuthenticationError)
    )


def reason_of(error: Exception) -> str:
    """
    Return what an error of the driver says, for people.

    Args:
        error: Any error.
    """
    if isinstance(error, MasterNotFoundError):
        # What each Sentinel has said follows, with the driver's objects in between.
        return str(error).partition(" : ")[0]
    text = str(error) or type(error).__name__
    # What the driver says of these says nothing.
    return next((said for part, said in _IN_WORDS.items() if part in text), text)
