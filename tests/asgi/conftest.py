"""What several tests of ASGI applications use."""

import pytest
from starlette.applications import Starlette

from heliograph.servers import log_once


@pytest.fixture
def fresh_process(monkeypatch):
    """As if nothing had used CORS in this process."""
    monkeypatch.setattr(log_once, "_logged", set())
    found = vars(Starlette).get("middleware_stack")
    if found is not None:
        del Starlette.middleware_stack
    yield
    if "middleware_stack" in vars(Starlette):
        del Starlette.middleware_stack
    if found is not None:
        Starlette.middleware_stack = found
