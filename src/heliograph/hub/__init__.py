"""The event loop that joins channels, feeds and subscribers."""

from __future__ import annotations

from .hub import Hub, HubStatistics
from .thread import HubThread

__all__ = ["Hub", "HubStatistics", "HubThread"]
