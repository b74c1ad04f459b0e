"""A client's connection, as far as ASGI servers let it be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hub.sinks import tune_descriptor

if TYPE_CHECKING:
    from ..config import HubConfig

__all__ = ["tune"]


def tune(receive: Any, config: HubConfig) -> None:
    """
    Make a client's connection prompt, bounded, and aware of a peer that has died.

    Args:
        receive: As the application was given it. With uvicorn and gunicorn it is a method
            of something that knows the transport; with others nothing is done.
        config: See :func:`~heliograph.hub.sinks.tune_socket`.
    """
    owner = getattr(receive, "__self__", None)
    transport = getattr(owner, "transport", None)
    if transport is None:
        transport = getattr(getattr(owner, "protocol", None), "transport", None)
    get_extra_info = getattr(transport, "get_extra_info", None)
    connection = get_extra_info("socket") if callable(get_extra_info) else None
    # uvloop's object for the connection has no options. What is closed has no number.
    if connection is not None and connection.fileno() >= 0:
        tune_descriptor(connection.fileno(), config)
