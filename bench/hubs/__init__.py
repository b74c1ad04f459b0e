"""The hubs that are measured: ours, their peers, and the floor."""

from __future__ import annotations

from .centrifugo import Centrifugo
from .django_eventstream import DjangoEventstream
from .fastapi_sse import FastAPISSE
from .flask_sse import FlaskSSE
from .floor import Floor
from .heliograph_gunicorn import HeliographGunicorn
from .heliograph_uvicorn import HeliographUvicorn
from .nchan import Nchan
from .pushpin import Pushpin
from .sse_starlette import SSEStarlette

OURS = [HeliographUvicorn(), HeliographGunicorn()]
PEERS = [
    Nchan(),
    Pushpin(),
    Centrifugo(),
    FlaskSSE(),
    SSEStarlette(),
    FastAPISSE(),
    DjangoEventstream(),
]
FLOOR = Floor()
