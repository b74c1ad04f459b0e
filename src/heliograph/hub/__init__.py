"""The event loop that joins channels, feeds and subscribers."""

from __future__ import annotations

from .hub import Hub, open_hub
from .interface import Adapter, Admission, Leave, StreamHub, Subscribed, Ticket
from .statistics import HubStatistics
from .subscription import Subscription
from .threaded.hub_thread import HubThread

__all__ = [
    "Adapter",
    "Admission",
    "Hub",
    "HubStatistics",
    "HubThread",
    "Leave",
    "StreamHub",
    "Subscribed",
    "Subscription",
    "Ticket",
    "open_hub",
]
