"""
The CORS protocol, as a pure decision.

:class:`CorsPolicy` says who may do what; :func:`decide` says what that means for a request.
:mod:`heliograph.flask` and :mod:`heliograph.asgi` do what it says.
"""

from __future__ import annotations

from .decision import Decision, decide, decide_async, missing_vary
from .policy import CorsPolicy
from .request import CorsRequest

__all__ = [
    "CorsPolicy",
    "CorsRequest",
    "Decision",
    "decide",
    "decide_async",
    "missing_vary",
]
