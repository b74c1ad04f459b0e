"""Who writes to a sink, for the tests of sinks."""

import pytest


class Client:
    """Counts what it is told. See ``SinkClient``."""

    def __init__(self):
        self.resumed = self.silent = self.lost = self.finished = 0

    def on_resumed(self):
        self.resumed += 1

    def on_silent(self):
        self.silent += 1

    def on_lost(self):
        self.lost += 1

    def finish(self):
        self.finished += 1


@pytest.fixture
def client():
    return Client()
