"""The hubs that are measured: ours, their peers, and the floor."""

from __future__ import annotations

from .heliograph_gunicorn import HeliographGunicorn
from .heliograph_uvicorn import HeliographUvicorn

OURS = [HeliographUvicorn(), HeliographGunicorn()]
PEERS = []
