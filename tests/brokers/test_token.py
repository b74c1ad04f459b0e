"""Names of appends."""

import os

from heliograph.brokers.token import new_token


def test_no_name_is_given_twice():
    """Nor in a forked child."""
    names = [new_token() for _ in range(1000)]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, ",".join(new_token() for _ in range(1000)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as pipe:
        names += pipe.read().split(",")
    os.waitpid(child, 0)
    assert len({*names}) == 2000
    assert all(len(name) < 20 and name.isascii() for name in names)
