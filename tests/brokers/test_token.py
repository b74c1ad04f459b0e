"""Names of appends."""

import ctypes
import os

import pytest

from heliograph.brokers.token import new_token

FORKS = {"python": os.fork, "c": lambda: ctypes.PyDLL(None).fork()}


@pytest.mark.parametrize("fork", FORKS)
def test_no_name_is_given_twice(fork):
    """Nor in a forked child, also where no hook is called: uWSGI forks in C."""
    names = [new_token() for _ in range(1000)]
    reader, writer = os.pipe()
    child = FORKS[fork]()
    if not child:
        os.write(writer, ",".join(new_token() for _ in range(1000)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as pipe:
        names += pipe.read().split(",")
    names += [new_token() for _ in range(1000)]
    os.waitpid(child, 0)
    assert len({*names}) == 3000
    assert all(len(name) < 20 and name.isascii() for name in names)
