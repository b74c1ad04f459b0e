"""A configuration that is changed after it was read is noticed."""

import threading
from contextvars import ContextVar

import pytest
from werkzeug.local import LocalProxy

from heliograph.faces.config_watch import ConfigWatch

# (how a configuration is changed, keys that have another value; None if nothing is noticed)
CHANGES = [
    (lambda config: None, None),
    (lambda config: config.update(A=1), None),
    (lambda config: config.update(A=2), ["A"]),
    (lambda config: config["LIST"].append(2), ["LIST"]),
    (lambda config: config["DICT"]["a"].update(b=2), ["DICT"]),
    (lambda config: config["TUPLE"][0].append(2), ["TUPLE"]),
    (lambda config: config["SET"].add(2), ["SET"]),
    (lambda config: config["OBJECTS"].append(2), ["OBJECTS"]),
    (lambda config: config["OBJECTS"].__setitem__(0, threading.Lock()), ["OBJECTS"]),
    (lambda config: config.update(B=3), ["B"]),
    (lambda config: config.pop("A"), ["A"]),
    (lambda config: config.update(UNKNOWN=3), []),
    (lambda config: config.update(OTHER=4), None),
]


@pytest.mark.parametrize(("change", "keys"), CHANGES)
def test_changes(change, keys):
    """By value, also within a value; of a key that is not watched its being there."""
    config = {
        "A": 1,
        "LIST": [1],
        "DICT": {"a": {"b": 1}},
        "TUPLE": ([1],),
        "SET": {1},
        # None of these can be copied, and the proxy cannot even be compared.
        "OBJECTS": [threading.Lock(), LocalProxy(ContextVar("unset")), (one for one in "")],
        "PROXY": LocalProxy(ContextVar("unset")),
        "OTHER": 3,
    }
    watched = ["A", "B", "LIST", "DICT", "TUPLE", "SET", "OBJECTS", "PROXY"]
    watch = ConfigWatch(config, watched)

    change(config)

    assert watch.may_have_changed() is (keys is not None)
    assert watch.changed() == (keys or [])
    watch.note()
    assert not watch.may_have_changed()


def test_another_object():
    """What replaces the configuration is compared with what was read of the first."""
    watch = ConfigWatch({"A": 1, "B": 2}, ["A", "B"])

    watch.follow({"A": 1, "B": 2})
    assert not watch.may_have_changed()
    watch.follow({"A": 1, "B": 3})
    assert watch.may_have_changed()
    assert watch.changed() == ["B"]
