"""Fixtures for the tests of the hub."""

import asyncio

import pytest


@pytest.fixture(params=["memory", "sqlite"])
def url(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/log"


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/log"


@pytest.fixture
async def faults():
    """What the loop is told that nobody catches."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: found.append(fault))
    return found
