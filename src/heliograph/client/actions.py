"""What the machine is told, and what it answers: values that both faces carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CREDENTIALS",
    "Action",
    "Connect",
    "Follow",
    "Head",
    "Read",
    "Stop",
    "Target",
    "Wait",
]

CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""
Fields that are for one origin, in lower case.

Fetch removes Authorization when it follows a redirect to another one (section 4.4, step
13); a Cookie is written by hand only here.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where an event source connects to.

    Args:
        url: The address.
        headers: Fields of the request, beside those of the standard.
    """

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connect:
    """
    Send a request.

    Attributes:
        url: The address.
        headers: All fields of the request, as bytes: an id is sent as UTF-8.
        may_authenticate: Whether credentials of the caller are for this origin.
    """

    url: str
    headers: list[tuple[bytes, bytes]]
    may_authenticate: bool


@dataclass(frozen=True, slots=True)
class Follow:
    """
    Follow the redirect of the response, to the address that its head names.

    Attributes:
        may_authenticate: Whether credentials of the caller are for its origin.
    """

    may_authenticate: bool


@dataclass(frozen=True, slots=True)
class Read:
    """Read the body: the stream is open."""


@dataclass(frozen=True, slots=True)
class Wait:
    """
    Wait, and connect again.

    Attributes:
        seconds: How long.
        error: Why the connection failed; :obj:`None` after the end of a stream.
    """

    seconds: float
    error: Exception | None


@dataclass(frozen=True, slots=True)
class Stop:
    """
    End for good.

    Attributes:
        error: What to raise; :obj:`None` if the stream has ended as it should.
    """

    error: Exception | None


Action: TypeAlias = Connect | Follow | Read | Wait | Stop


@dataclass(frozen=True, slots=True)
class Head:
    """
    The head of a response.

    Args:
        url: The address that answered.
        status: The status.
        headers: The fields, with names in lower case; fields of one name are joined by a
            comma.
        location: The absolute address of ``Location``; :obj:`None` if there is none.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    location: str | None = None
