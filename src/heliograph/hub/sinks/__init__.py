"""
The ways in which bytes reach a client: one module each.

:class:`DescriptorSink` owns the client's connection, taken over from the server;
:class:`ConnectionSink` writes to a transport that the server has made, where TLS needs it.
:class:`PullSink` is emptied by a thread of the server, where that is not possible, and
:class:`TaskSink` by a task on the hub's own loop.
"""

from .connection import ConnectionSink
from .descriptor import DescriptorSink, can_own_descriptors
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
from .task import TaskSink

__all__ = [
    "ConnectionSink",
    "DescriptorSink",
    "PullSink",
    "Sink",
    "SinkClient",
    "TaskSink",
    "can_own_descriptors",
    "can_see_clients",
    "client_has_left",
    "duplicate",
    "identity_of",
    "tune_descriptor",
    "tune_socket",
]
