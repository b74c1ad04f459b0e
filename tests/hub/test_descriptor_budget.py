"""Descriptors are left to others."""

import contextlib
import os
import resource

import pytest

from heliograph import TooManySubscribersError
from heliograph.hub import Admission
from heliograph.hub.admission import _descriptors
from heliograph.hub.descriptor_budget import DescriptorBudget
from hubs import opened

LIMIT = 400


class Clock:
    """The time, as a test wants it."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limited():
    """A process that may have so many descriptors; what the test opens is closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    yield others
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for number in others:
        os.close(number)


def use_up(others, *, but=0):
    """Open descriptors until there are none left but some."""
    with contextlib.suppress(OSError):
        while True:
            others.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(but):
        os.close(others.pop())


def test_looks(limited, clock):
    """One counts for a second, whether it has found room or none."""
    budget = DescriptorBudget(clock)
    assert budget.have_room()
    use_up(limited)
    assert budget.have_room()  # it has just looked

    clock.now = 1.5
    assert not budget.have_room()
    while limited:
        os.close(limited.pop())
    assert not budget.have_room()  # the same

    clock.now = 3.0
    assert budget.have_room()


@pytest.mark.parametrize(
    ("free", "streams"), [(0, 0), (100, 0), (102, 0), (103, 1), (106, 2), (190, 30)]
)
def test_how_many_streams_may_begin(limited, clock, free, streams):
    """A hundred descriptors are left to others, and each stream counts as three."""
    budget = DescriptorBudget(clock)
    # The look itself has one open for a moment.
    use_up(limited, but=free + 1)

    begun = 0
    while budget.have_room():
        begun += 1
        # What a stream takes; without that a look would find the same room again.
        limited += [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]

    assert begun == streams


def test_streams_that_take_less_than_was_reckoned(limited, clock):
    """When as many have begun as may, it looks again instead of refusing for a second."""
    budget = DescriptorBudget(clock)
    use_up(limited, but=107)

    assert all(budget.have_room() for _ in range(50))


def test_it_says_so_once(limited, clock, caplog):
    """With the limit, and what to do."""
    budget = DescriptorBudget(clock)
    use_up(limited)
    for second in range(0, 10, 2):
        clock.now = second
        assert not budget.have_room()

    assert caplog.text.count(f"more than {LIMIT} files") == 1
    assert "RLIMIT_NOFILE" in caplog.text


async def test_a_hub_without_room(limited):
    """It refuses streams, and serves programs, which have no connection."""
    async with opened() as hub:
        use_up(limited, but=9)
        _descriptors._counts_until = 0.0
        try:
            with pytest.raises(TooManySubscribersError):
                hub.admit(Admission(("a",)))
            hub.admit(Admission(("a",), is_program=True))
        finally:
            _descriptors._counts_until = 0.0
