"""Names of epochs."""

import re

from heliograph.brokers.epoch import new_epoch
from heliograph.channels.position import Position


def test_names_differ():
    """Each is one that positions accept, and none comes twice."""
    names = {new_epoch() for _ in range(10_000)}

    assert len(names) == 10_000
    assert all(re.fullmatch("[0-9A-Za-z]{8}", name) for name in names)
    assert Position(min(names), 0).epoch == min(names)
