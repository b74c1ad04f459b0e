"""The part for hypercorn where there is another hypercorn, or none."""

import asyncio
import sys

from heliograph.servers.hypercorn import flow_of


async def test_a_hypercorn_that_is_not_known(monkeypatch, caplog):
    """It is left alone, and one line says so."""
    import hypercorn.asyncio.task_group  # noqa: F401 - as where it serves

    monkeypatch.setattr("heliograph.servers.asgi._told", set())
    assert flow_of(asyncio.Queue().get) is None
    assert flow_of(asyncio.Queue().get) is None
    (line,) = caplog.messages
    assert line.startswith("this hypercorn is not known: ")


async def test_no_hypercorn(monkeypatch, caplog):
    """Other servers have queues as well."""
    monkeypatch.delitem(sys.modules, "hypercorn.asyncio.task_group", raising=False)
    assert flow_of(asyncio.Queue().get) is None
    assert not caplog.records
