"""
The ways in which bytes reach a client: one module each.

:class:`SocketSink` owns the client's connection, taken over from the server;
:class:`ConnectionSink` is what it has in common with others that do.
:class:`PullSink` is emptied by a thread of the server, where that is not possible, and
:class:`TaskSink` by a task on the hub's own loop.
"""

from .connection import ConnectionSink
from .descriptors import (
    can_see_clients,
    client_has_left,
    duplicate,
    identity_of,
    tune_descriptor,
    tune_socket,
)
from .pull import PullSink
from .sink import Sink, SinkClient
from .socket import SocketSink
from .task import TaskSink

__all__ = [
    "ConnectionSink",
    "PullSink",
    "Sink",
    "SinkClient",
    "SocketSink",
    "TaskSink",
    "can_see_clients",
    "client_has_left",
    "duplicate",
    "identity_of",
    "tune_descriptor",
    "tune_socket",
]
