"""What is asked of hypercorn, where it looks otherwise than it does, or is none."""

from heliograph.servers.hypercorn import flow_of


async def test_a_hypercorn_that_is_not_known(monkeypatch, caplog):
    """It is left alone, and one line says so."""
    monkeypatch.setattr("heliograph.servers.asgi._told", set())
    # As its task is outermost, it is what the test's own says that it is.
    monkeypatch.setitem(globals(), "__name__", "hypercorn.asyncio.task_group")
    assert flow_of() is None
    assert flow_of() is None
    (line,) = caplog.messages
    assert line.startswith("this hypercorn is not known: ")


async def test_no_hypercorn(caplog):
    """Another server's tasks are not touched."""
    assert flow_of() is None
    assert not caplog.records
