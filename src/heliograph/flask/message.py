"""The class that Flask-SSE calls an event."""

from __future__ import annotations

from typing import Any

from flask import json

from ..event import make_event
from ..wire.encoder import encode

__all__ = ["Message"]


class Message:
    """
    An event with any data, as Flask-SSE has it.

    Args:
        data: A str is sent as it is, anything else as JSON.
        type: The name that ``addEventListener`` waits for.
        id: What the client sends back as ``Last-Event-ID``; an int counts as its
            decimal digits.
        retry: Milliseconds that the client waits before it reconnects.
    """

    def __init__(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
    ) -> None:
        self.data = data
        self.type = type
        self.id = id
        self.retry = retry

    def to_dict(self) -> dict[str, Any]:
        """Return ``data``, and of the other fields those that are set."""
        optional = {"type": self.type, "id": self.id, "retry": self.retry}
        return {"data": self.data} | {
            name: value for name, value in optional.items() if value is not None
        }

    def __str__(self) -> str:
        """
        Encode the message for a stream.

        Raises:
            InvalidFieldError: A field cannot be sent.
        """
        event = make_event(json.dumps, self.data, self.type, self.id, self.retry)
        return encode(event).decode()

    def __repr__(self) -> str:
        fields = self.to_dict()
        arguments = [repr(fields.pop("data"))]
        arguments += [f"{name}={value!r}" for name, value in fields.items()]
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # its fields may be changed
