"""Fixtures for the tests of hubs in a thread."""

import pytest

from heliograph import HubConfig
from heliograph.hub import HubThread


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/log"


@pytest.fixture
def hub(url):
    hub = HubThread(url, HubConfig())
    yield hub
    hub.close()
