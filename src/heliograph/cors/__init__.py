"""
The CORS protocol as a pure decision.

:class:`CorsPolicy` describes who may do what, and :func:`decide` returns what that means
for one request. :mod:`heliograph.flask` and :mod:`heliograph.asgi` carry the decision out.
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
