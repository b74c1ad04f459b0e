"""A file that another user may have made, or may read, is refused."""

import os
import stat
from pathlib import Path

import pytest
from sqlite_files import RETENTION, opened
from users import (
    ANN,
    BOB,
    STRANGER,
    TEAM,
    as_root,
    given,
    go_on,
    linked,
    program,
    said,
    snapshot,
    with_mode,
)

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker


def of_stranger(folder):
    return given(folder / "log")


def in_group(folder):
    """A file of the folder's group, which may not write to the folder."""
    os.chown(folder, 0, STRANGER)
    return given(folder / "log")


def beside(ending):
    def prepare(folder):
        given(Path(f"{folder / 'log'}{ending}"), 0o666)
        return folder / "log"

    return prepare


def in_folder(mode):
    def prepare(folder):
        (folder / "all").mkdir()
        (folder / "all").chmod(mode)
        return folder / "all" / "log"

    return prepare


def ours_in_a_folder_of_all(folder):
    path = in_folder(0o1777)(folder)
    path.touch(0o600)
    return path


def folder_of_stranger(folder):
    path = in_folder(0o1777)(folder)
    (path.parent / "his").mkdir()
    os.chown(path.parent / "his", STRANGER, STRANGER)
    return path.parent / "his" / "log"


def link_of_stranger(folder):
    path = in_folder(0o1777)(folder)
    return linked(path, folder / "mine")


def link_on_the_way(folder):
    path = in_folder(0o1777)(folder)
    (folder / "mine").mkdir()
    return linked(path, "../mine") / "log"


def link_in_a_folder_of_its_owner(folder):
    """Of a service that wants root to change the rights of a file of root's."""
    (folder / "service").mkdir(mode=0o755)
    os.chown(folder / "service", STRANGER, STRANGER)
    (folder / "passwd").write_text("root" * 1000)
    (folder / "passwd").chmod(0o644)
    return linked(folder / "service" / "log", folder / "passwd")


def dangling_in_a_folder_of_its_owner(folder):
    path = link_in_a_folder_of_its_owner(folder)
    (folder / "passwd").unlink()
    return path


def link_of_its_owner_on_the_way(folder):
    link = link_in_a_folder_of_its_owner(folder)
    link.unlink()
    return linked(link, folder) / "log"


def dangling(folder):
    (folder / "group").mkdir()
    (folder / "group").chmod(0o775)
    return linked(folder / "group" / "log", folder / "chosen")


def pipe(folder):
    os.mkfifo(folder / "log")
    return folder / "log"


def link_beside(folder):
    (folder / "other").touch(0o600)
    (folder / "log-wal").symlink_to(folder / "other")
    return folder / "log"


# (what is there, words of the message). Add a row, not a test.
REFUSED = [
    pytest.param(of_stranger, "belongs to user 65534", id="file", marks=as_root),
    pytest.param(of_stranger, "sudo -u '#65534'", id="file-hint", marks=as_root),
    pytest.param(in_group, "run this as that user", id="group-reads", marks=as_root),
    pytest.param(
        beside("-wal"), r"log-wal \(mode 0666\) belongs to", id="wal", marks=as_root
    ),
    pytest.param(
        beside("-shm"), r"log-shm \(mode 0666\) belongs to", id="shm", marks=as_root
    ),
    pytest.param(
        beside("-journal"),
        r"log-journal \(mode 0666\) belongs to",
        id="journal",
        marks=as_root,
    ),
    pytest.param(folder_of_stranger, "his belongs to", id="folder", marks=as_root),
    pytest.param(link_of_stranger, "log belongs to user", id="link", marks=as_root),
    pytest.param(link_on_the_way, "log belongs to", id="link-on-the-way", marks=as_root),
    pytest.param(dangling, "no links of others", id="dangling-link", marks=as_root),
    pytest.param(
        link_in_a_folder_of_its_owner,
        "no links of others",
        id="link-of-owner",
        marks=as_root,
    ),
    pytest.param(
        dangling_in_a_folder_of_its_owner, "sudo -u", id="dangling-of-owner", marks=as_root
    ),
    pytest.param(
        link_of_its_owner_on_the_way, "no links of others", id="way-of-owner", marks=as_root
    ),
    pytest.param(with_mode(0o666), "everybody may write", id="everybody-writes"),
    pytest.param(with_mode(0o602), "everybody may write", id="others-write"),
    pytest.param(
        with_mode(0o666, "log-wal"), "log-wal .mode 0666", id="everybody-writes-wal"
    ),
    pytest.param(in_folder(0o777), "use a folder of your own", id="folder-of-all"),
    pytest.param(in_folder(0o1777), "SQLite believes", id="sticky-folder"),
    pytest.param(ours_in_a_folder_of_all, "mode 1777", id="ours-in-a-sticky-folder"),
    pytest.param(pipe, "is not a file", id="pipe"),
    pytest.param(link_beside, "log-wal is not a file", id="link-beside"),
]


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize(("prepare", "words"), REFUSED)
async def test_refused(folder, prepare, words, mode):
    """What a stranger may have made is a mistake of the configuration, and stays as it is."""
    path = prepare(folder)
    before = snapshot(folder)
    broker = SqliteBroker(path, RETENTION, mode=mode)

    with pytest.raises(ConfigError, match=words) as caught:
        await broker.open(RecordingListener())

    assert len(caught.value.problems) == 1
    assert snapshot(folder) == before


async def test_all_problems_at_once(folder):
    """Whoever mends one need not come again for the next."""
    path = in_folder(0o777)(folder)
    path.touch()
    path.chmod(0o666)

    with pytest.raises(ConfigError) as caught:
        await SqliteBroker(path, RETENTION).open(RecordingListener())

    assert len(caught.value.problems) == 2


@as_root
async def test_a_stranger_comes_later(folder):
    """What was right at the start is looked at again, and is used when it is right again."""
    path = folder / "log"
    async with opened(path) as broker:
        await broker.append("a", Event("1"))
        # Both threads have opened the file, and meet the other at once.
        await broker.read("a", None, 9)
        given(folder / "other").replace(path)
        for call, error in (
            (broker.append("a", Event("2")), ConfigError),
            (broker.read("a", None, 9), BrokerUnavailableError),
        ):
            with pytest.raises(error, match="belongs to user 65534"):
                await call
        assert path.stat().st_size == 0

        for found in folder.glob("log*"):
            if found.is_file():
                found.unlink()

        assert (await broker.append("a", Event("3"))).position.offset == 1


async def test_links_of_ours(folder):
    """What an administrator has linked works as if it were there, also in a folder of all."""
    (folder / "volume").mkdir(mode=0o700)
    (folder / "all").mkdir()
    (folder / "all").chmod(0o1777)
    (folder / "all" / "log").symlink_to("../now/log")
    (folder / "now").symlink_to(folder / "volume")

    async with opened(folder / "all" / "log") as broker:
        await broker.append("a", Event("x"))

    assert oct(stat.S_IMODE((folder / "volume" / "log").stat().st_mode)) == "0o600"


async def test_a_link_without_end(folder):
    """It is an error of the file."""
    (folder / "log").symlink_to("log")

    with pytest.raises(ConfigError, match="symbolic links"):
        await SqliteBroker(folder / "log", RETENTION).open(RecordingListener())


@as_root
@pytest.mark.parametrize("target", ["missing", "of-bob"])
def test_links_of_another_member(shared, target):
    """One member's link does not make another use a right that only he has."""
    private = shared.parent / "bob"
    private.mkdir(mode=0o700)
    os.chown(private, BOB, BOB)
    if target == "of-bob":
        given(private / target)
        os.chown(private / target, BOB, BOB)
    linked(shared / "log", private / target, owner=ANN)
    before = snapshot(shared.parent)

    with program(BOB, "share", f"sqlite:///{shared}/log?mode=0660") as other:
        words = said(other)

    assert words.startswith("ConfigError")
    assert "is a link to a file" in words
    assert snapshot(shared.parent) == before


@as_root
def test_a_link_to_a_file_of_the_owner_of_the_link(shared):
    """A member may link to what is his own, such as a volume."""
    (shared.parent / "volume").mkdir()
    os.chown(shared.parent / "volume", ANN, TEAM)
    (shared.parent / "volume").chmod(0o2770)
    linked(shared / "now", "../volume", owner=ANN)
    url = f"sqlite:///{shared}/now/log?mode=0660"

    with program(ANN, "share", url) as one, program(BOB, "share", url) as other:
        assert said(one) == said(other) == "listening True"


@as_root
def test_not_shared(shared):
    """Without the option the second user is refused, and told how to share."""
    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"
        with program(BOB, "share", f"sqlite:///{shared}/log") as other:
            words = said(other)

    assert words.startswith("ConfigError")
    assert f"belongs to user {ANN}" in words
    assert "?mode=0660" in words


@as_root
@pytest.mark.parametrize("user", [ANN, 0])
def test_a_plain_url_does_not_end_sharing(shared, user):
    """Neither the owner nor root locks the others out by leaving the option away."""
    url = f"sqlite:///{shared}/log"
    with program(ANN, "share", f"{url}?mode=0660") as one:
        assert said(one) == "listening True"
        before = snapshot(shared)
        with program(user, "share", url) as other:
            words = said(other)

        assert words.startswith("ConfigError")
        assert f"(mode 0660) is shared with its group {TEAM}" in words
        assert "?mode=0660" in words
        assert snapshot(shared) == before
        with program(BOB, "share", f"{url}?mode=0660") as other:
            assert said(other) == "listening True"


@as_root
def test_the_owner_does_not_share(shared):
    """A member who may not open the file learns who has to do what."""
    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"
        with program(BOB, "share", f"sqlite:///{shared}/log?mode=0660") as other:
            words = said(other)

    assert words.startswith("ConfigError")
    assert f"(mode 0600) belongs to user {ANN}" in words
    assert "that user has to chmod 0660 it" in words


@as_root
def test_the_folder_is_not_shared(shared):
    """A member who may not make files beside the database learns where."""
    with program(ANN, "share", f"sqlite:///{shared}/log?mode=0660") as one:
        assert said(one) == "listening True"
        go_on(one)
    for beside in ("log-wal", "log-shm"):
        (shared / beside).unlink(missing_ok=True)
    shared.chmod(0o2750)

    with program(BOB, "share", f"sqlite:///{shared}/log?mode=0660") as other:
        words = said(other)

    assert words.startswith("ConfigError")
    assert (
        f"user {BOB} of groups {BOB}, {TEAM} may not write to the folder {shared}" in words
    )
    assert f"(owner {ANN}, group {TEAM}, mode 2750)" in words
    assert "chmod 2770 the folder" in words


@as_root
def test_shared_with_a_group_that_is_not_ours(shared):
    """To ask for sharing does not let in who is of another group."""
    shared.chmod(0o775)
    given(shared / "log", 0o660)

    with program(BOB, "share", f"sqlite:///{shared}/log?mode=0660") as other:
        words = said(other)

    assert words.startswith("ConfigError")
    assert "its group 65534 is none of that user's" in words
    assert "chmod 2770" in words
