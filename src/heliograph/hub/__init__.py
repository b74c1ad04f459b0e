"""The event loop that joins channels, feeds and subscribers."""

from __future__ import annotations

from .hub import Hub, HubStatistics, open_hub
from .subscription import Subscription
from .thread import HubThread

__all__ = ["Hub", "HubStatistics", "HubThread", "Subscription", "open_hub"]
