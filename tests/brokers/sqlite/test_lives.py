"""What is forgotten is a gap for those who may have missed it, and for few others."""

from itertools import count

import pytest

from heliograph.brokers.sqlite.lives import _bucket


def of_bucket(name, *, same):
    """Return another name, of the same bucket or of another one."""
    names = (f"other{n}" for n in count())
    return next(one for one in names if (_bucket(one) == _bucket(name)) == same)


@pytest.mark.parametrize("turn", range(2))
def test_nothing_is_lost_in_silence(file, turn, chance):
    """Whatever clocks do and whenever channels are forgotten: no gap means no event is missing."""
    names = ["a", "b", of_bucket("a", same=True)]
    published = {name: [] for name in names}
    clients = []
    resumed = {None: 0, "epoch": 0}

    for step in range(15_000):
        name = chance.choice(names)
        what = chance.choice(
            ("publish", "join", "join", "resume", "sweep", "time", "listen", "begin")
        )
        if what == "publish" and chance.random() < 0.3:
            file.append(name, str(step))
            published[name].append(str(step))
        elif what == "begin" and chance.random() < 0.1:
            file.writer.begin(name)
        elif what == "join":
            clients.append((name, file.head(name), len(published[name])))
        elif what == "resume" and clients:
            name, position, seen = chance.choice(clients[-30:])
            history = file.reader.read(name, position, 99)
            if history.gap is None:
                missed = [entry.event.data for entry in history.entries]
                assert missed == published[name][seen:]
            resumed[history.gap] = resumed.get(history.gap, 0) + 1
        elif what == "sweep":
            file.sweep()
        elif what == "time":
            file.clock.now += chance.choice(
                (1, 100, 900, 1800, 3600, -50, -3600, -9000, 12_000)
            )
        elif what == "listen":
            file.listened ^= {name}

    # It has been tried.
    assert resumed[None] > 20
    assert resumed["epoch"] > 20


def test_quiet_channels_of_others_are_spared(file):
    """Forgetting one, again and again, is no gap for those who wait in another one."""
    quiet = of_bucket("job", same=False)
    waiting = file.head(quiet)
    heads = set()
    for _ in range(12):
        early = file.head("job")
        last = file.append("job").position
        file.forget_all()
        assert file.gap("job", early) == file.gap("job", last) == "epoch"
        assert file.gap(quiet, waiting) is None
        heads.add(file.head("job"))

    first = file.append(quiet)

    resumed = file.reader.read(quiet, waiting, 9)
    assert (resumed.gap, resumed.entries) == (None, (first,))
    assert len(heads) == 12
    # The names of epochs stay short, and an old one is not kept.
    assert {head.epoch[:8] for head in heads} == {waiting.epoch}
    assert max(len(head.epoch) for head in heads) == 10


def test_those_of_the_same_bucket_get_a_gap(file):
    """Whether they have missed something is not known; later they have not."""
    other = of_bucket("job", same=True)
    waiting = file.head(other)
    file.append("job")
    file.forget_all()

    assert file.gap(other, waiting) == "epoch"

    again = file.head(other)
    unrelated = of_bucket("job", same=False)
    file.append(unrelated)
    file.forget_all()
    assert file.head(other) != again
    assert file.gap(other, again) is None


def test_an_older_channel_is_forgotten_later(file):
    """Whoever came after it had begun is not at its beginning."""
    file.append("old")
    file.listened.add("old")
    file.append("job")
    file.forget_all()
    other = of_bucket("old", same=True)
    waiting = file.head(other)
    file.listened.clear()

    file.forget_all()

    assert file.gap(other, waiting) is None
    assert file.head(other) == waiting


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE channel SET epoch = 'another'",
        "UPDATE channel SET epoch = x'ff'",
        "UPDATE meta SET epoch = 'short'",
        "UPDATE channel SET name = CAST(x'ff' AS TEXT)",
    ],
)
def test_damaged_epochs(file, statement):
    """Where it is not known when a channel has begun, nobody is told that nothing is missing."""
    early = file.head("a")
    file.append("a")
    file.change(statement)
    at_damage = file.head("b")

    file.forget_all()

    assert file.head("a").offset == 0
    assert file.select("SELECT count(*) FROM channel") == [(0,)]
    if "name" not in statement:
        assert file.gap("a", early) == "epoch"
        assert file.head("b") != at_damage


def test_the_last_number(file):
    """It is followed by another prefix, in which no position is of a former one."""
    waiting = file.head("quiet")
    file.change("UPDATE meta SET epoch = epoch || '99999999'")
    assert file.gap("quiet", waiting) is None
    file.append("a")

    file.forget_all()

    assert len(file.head("a").epoch) == 8
    assert file.gap("quiet", waiting) == "epoch"
    assert file.gap("quiet", file.head("quiet")) is None


@pytest.mark.parametrize(
    "epoch", ["x", "abcdefgh", "abcdefgh1", "abcdefgh01", "abcdefghijklmnop"]
)
def test_positions_that_nobody_was_given(file, epoch):
    """Visitors can write any epoch; it is honoured as none."""
    position = type(file.head("a"))(epoch, 0)
    assert file.gap("a", position) == "epoch"
    present = file.head("a")
    assert file.gap("a", type(present)(f"{present.epoch}7", 0)) == "epoch"
