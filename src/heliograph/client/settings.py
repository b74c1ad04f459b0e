"""What the caller of an event source has asked for, checked when it is built."""

from __future__ import annotations

import json as json_
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import ConfigError
from ..event import Event
from ..rules import Number, seconds
from .reconnect import Reconnect

__all__ = ["Settings", "Timeout"]

Timeout: TypeAlias = float | Literal["heartbeats"] | None

# RFC 9110 sections 5.1 and 5.5.
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"})


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The arguments that both faces share, in the form that the machine uses.

    Attributes:
        url: The address, with the parameters.
        method: The method, in upper case.
        headers: Fields of the request.
        content: The body; :obj:`None` for none.
        last_event_id: The id to begin after.
        timeout: Seconds of silence, ``"heartbeats"`` or :obj:`None`.
        policy: How to reconnect.
        reconnects: Whether to reconnect; :obj:`None` to decide by the method and the ids.
        max_event_bytes: The largest event.
    """

    url: str
    method: str
    headers: Mapping[str, str]
    content: bytes | None
    last_event_id: str
    timeout: Timeout
    policy: Reconnect
    reconnects: bool | None
    max_event_bytes: int

    @classmethod
    def of(
        cls,
        url: str,
        *,
        last_event_id: str | None,
        headers: Mapping[str, str] | None,
        method: str,
        json: Any,
        timeout: Timeout,
        reconnect: bool | Reconnect | None,
        max_event_bytes: int,
    ) -> Settings:
        """
        Return the settings that arguments mean.

        Args:
            url: The address, with the parameters.
            last_event_id: The id to begin after; :obj:`None` for none.
            headers: Fields of the request; :obj:`None` for none.
            method: The method, in any case.
            json: The body, which is encoded as JSON; :obj:`None` for none.
            timeout: Seconds of silence, ``"heartbeats"`` or :obj:`None`.
            reconnect: Whether and how to reconnect.
            max_event_bytes: The largest event.

        Raises:
            ConfigError: Arguments are wrong; it lists all of them.
            InvalidFieldError: No stream can send ``last_event_id``.
        """
        problems = [
            problem
            for problem in (
                _url_problem(url),
                _method_problem(method, json),
                _timeout_problem(timeout),
                _reconnect_problem(reconnect),
                _headers_problem(headers),
                Number(1).problem("max_event_bytes", max_event_bytes),
            )
            if problem is not None
        ]
        content = None
        if json is not None:
            try:
                content = json_.dumps(json).encode()
            except (TypeError, ValueError, RecursionError) as error:
                problems.append(f"json must be a value that JSON can encode: {error}")
        if problems:
            raise ConfigError(problems)
        return cls(
            url=url,
            method=method.upper(),
            headers=dict(headers or {}),
            content=content,
            last_event_id=Event("", id=last_event_id).id or "",
            timeout=timeout,
            policy=reconnect if isinstance(reconnect, Reconnect) else Reconnect(),
            reconnects=True if isinstance(reconnect, Reconnect) else reconnect,
            max_event_bytes=max_event_bytes,
        )


def _url_problem(url: str) -> str | None:
    scheme, separator, rest = url.partition("://")
    if scheme.lower() in {"http", "https"} and separator and rest.strip("/"):
        return None
    shown = url if "@" not in url else f"{scheme}://…"
    return f"url must begin with http:// or https:// and a host, not {shown!r}"


def _method_problem(method: object, json: Any) -> str | None:
    if not isinstance(method, str) or method.upper() not in _METHODS:
        return f"method must be one of {', '.join(sorted(_METHODS))}, not {method!r}"
    if json is not None and method.upper() == "GET":
        return 'json is the body of a request: set method="POST", or pass params'
    return None


def _timeout_problem(timeout: Timeout) -> str | None:
    if timeout == "heartbeats":
        return None
    if isinstance(timeout, str):
        return f'timeout must be "heartbeats", seconds or None, not {timeout!r}'
    if timeout == math.inf:
        return "timeout must be a number of seconds, or None for any time, not inf"
    return seconds(optional=True).problem("timeout", timeout)


def _reconnect_problem(reconnect: object) -> str | None:
    if reconnect is None or isinstance(reconnect, bool | Reconnect):
        return None
    return f"reconnect must be True, False, None or a Reconnect, not {reconnect!r}"


def _headers_problem(headers: object) -> str | None:
    if headers is not None and not isinstance(headers, Mapping):
        return f"headers must be a mapping of names to values, not {type(headers).__name__}"
    for name, value in (headers or {}).items():
        if name.lower() == "last-event-id":
            return "headers must not have Last-Event-ID: pass last_event_id"
        if not isinstance(value, str):
            return f"headers: {name} must be a str, not {type(value).__name__}"
        if not _FIELD_VALUE.fullmatch(value) or not _FIELD_NAME.fullmatch(name):
            return (
                f"headers: {name!r} must be a token, and its value must not contain"
                " control characters (RFC 9110 section 5)"
            )
    return None
