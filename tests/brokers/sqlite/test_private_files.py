"""Files and folders have the rights that were asked for, and belong to the right user."""

import contextlib
import errno
import logging
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlite_files import RETENTION, opened
from users import (
    ANN,
    BOB,
    TEAM,
    as_root,
    given,
    go_on,
    modes,
    program,
    said,
    with_mode,
)

from heliograph import ConfigError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.private_files import change_mode, give, make_folder

# Many run processes of other users.
pytestmark = [pytest.mark.once, pytest.mark.timeout(120)]

# (what is asked for, rights of the files, of the folder of bells, of a bell).
RIGHTS = [
    (0o600, "0o600", "0o700", "0o600"),
    (0o640, "0o640", "0o700", "0o600"),
    (0o644, "0o644", "0o700", "0o600"),
    (0o660, "0o660", "0o770", "0o660"),
    (0o664, "0o664", "0o770", "0o660"),
]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("before", [None, 0o600, 0o644, 0o660, 0o664])
async def test_rights(folder, umask, rights, before, caplog):
    """Whatever the umask and what was there: the rights are those that were asked for."""
    caplog.set_level(logging.WARNING)
    asked, files, bells, bell = rights
    old = os.umask(umask)
    try:
        if before is not None:
            with_mode(before)(folder)
            with_mode(before, "log-shm")(folder)
            (folder / "log-bells").mkdir()
            (folder / "log-bells").chmod(0o777)
        async with opened(folder / "log", mode=asked) as broker:
            await broker.append("a", Event("x"))
            (hung,) = (folder / "log-bells").iterdir()
            found = modes(folder)
    finally:
        os.umask(old)

    assert found == {
        "": files,
        "-wal": files,
        "-shm": files,
        "-bells": bells,
        f"-bells/{hung.name}": bell,
    }
    was_wider = before is not None and before & 0o066 & ~asked
    assert ("?mode=0660" in caplog.text) == bool(was_wider)


async def test_only_the_owner_may_read(folder):
    """Events may be private; so are the files."""
    async with opened(folder / "log") as broker:
        await broker.append("a", Event("x"))
        modes = {
            found.name: stat.S_IMODE(found.stat().st_mode) for found in folder.iterdir()
        }

    assert modes == {
        "log": 0o600,
        "log-wal": 0o600,
        "log-shm": 0o600,
        "log-bells": 0o700,
    }


async def test_a_link_to_a_file_that_is_not_there(folder):
    """What it leads to is made with the same mode."""
    (folder / "log").symlink_to(folder / "elsewhere")
    async with opened(folder / "log") as broker:
        await broker.append("a", Event("x"))

    assert stat.S_IMODE((folder / "elsewhere").stat().st_mode) == 0o600


def other_database(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def other_empty_database(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")


def text(path):
    path.write_text("hello world " * 200)


@pytest.mark.parametrize("asked", [0o600, 0o664])
@pytest.mark.parametrize("before", [0o600, 0o644, 0o664])
@pytest.mark.parametrize("make", [other_database, other_empty_database, text])
async def test_files_of_other_programs(folder, make, before, asked):
    """A URL with the wrong path changes nothing of the file: not its rights, nor a byte."""
    path = folder / "log"
    make(path)
    path.chmod(before)
    contents = path.read_bytes()

    with pytest.raises(ConfigError, match=r"another program|not a database"):
        await SqliteBroker(path, RETENTION, mode=asked).open(RecordingListener())

    assert modes(folder)[""] == oct(before)
    assert path.read_bytes() == contents


async def test_rights_are_not_changed_of_what_took_a_place(folder):
    """Neither a link nor another file gets the mode of what was looked at before."""
    for name in ("looked-at", "victim"):
        (folder / name).touch(0o600)
    status = (folder / "looked-at").lstat()
    (folder / "looked-at").unlink()
    (folder / "looked-at").symlink_to("victim")
    for path in (folder / "looked-at", folder / "victim"):
        with pytest.raises(FileNotFoundError):
            change_mode(path, status, 0o644)

    assert modes(folder)["victim"] == "0o600"


@pytest.fixture
def without_modes(monkeypatch):
    """A file system that shows one mode for everything: chmod has no effect, or fails."""

    def begin(shown, error=None):
        def showing(function):
            def wrapped(*arguments, **options):
                status = function(*arguments, **options)
                return os.stat_result((status.st_mode & ~0o777 | shown, *status[1:10]))

            return wrapped

        def chmod(*arguments, **options):
            if error is not None:
                raise OSError(error, os.strerror(error))

        for name in ("lstat", "fstat"):
            monkeypatch.setattr(os, name, showing(getattr(os, name)))
        for name in ("chmod", "fchmod"):
            monkeypatch.setattr(os, name, chmod)

    return begin


@pytest.mark.parametrize("mode", [0o600, 0o640])
@pytest.mark.parametrize("shown", [0o755, 0o777])
async def test_a_file_system_without_modes(folder, without_modes, shown, mode):
    """It is a mistake of the configuration, found at the start, and leaves nothing there."""
    without_modes(shown)

    with pytest.raises(ConfigError, match="a file system without modes"):
        await SqliteBroker(folder / "log", RETENTION, mode=mode).open(RecordingListener())

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("error", [None, errno.EPERM])
async def test_a_file_on_a_file_system_without_modes(folder, without_modes, error):
    """Also if the database has been copied there."""
    async with opened(folder / "log") as broker:
        await broker.append("a", Event("x"))
    without_modes(0o755, error)

    with pytest.raises(ConfigError, match=r"cannot change the mode of .*without modes"):
        await SqliteBroker(folder / "log", RETENTION).open(RecordingListener())


async def test_rights_of_files_in_use(folder):
    """Tightening a database does not drop the locks that this process has on it."""
    path = folder / "log"
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        path.chmod(0o644)
        async with opened(path) as other:
            await other.append("a", Event("y"))

        locks = Path("/proc/locks").read_text()  # noqa: ASYNC240 - no file
        assert f":{path.stat().st_ino} " in locks
        assert modes(folder)[""] == "0o600"


def test_made_folders(folder):
    """What is in the place of a folder is an error; one that is there is left as it is."""
    (folder / "there").mkdir(mode=0o700)
    (folder / "file").touch()

    make_folder(folder / "there")
    for path in (folder / "file", folder / "file" / "deep"):
        with pytest.raises(OSError, match="file"):
            make_folder(path)

    assert modes(folder)["there"] == "0o700"


@as_root
@pytest.mark.parametrize("umask", ["022", "077"])
def test_two_users_share_a_file(shared, umask):
    """Each hears what the other publishes, whoever came first and whatever the umask."""
    url = f"sqlite:///{shared}/log?mode=0660"
    for first, second in ((ANN, BOB), (BOB, ANN)):
        with (
            program(first, "share", url, umask=umask) as one,
            program(second, "share", url, umask=umask) as other,
        ):
            assert said(one) == "listening True"
            assert said(other) == "listening True"
            go_on(one)
            go_on(other)
            expected = f"from {ANN} from {BOB}"
            assert said(one) == said(other) == expected
            go_on(one, other)
            assert said(one) == said(other) == "closed"
            assert one.wait(30) == other.wait(30) == 0
        for found in shared.iterdir():
            assert found.stat().st_gid == TEAM
            assert not found.stat().st_mode & 0o007


@as_root
def test_a_file_whose_rights_come_a_moment_later(shared):
    """SQLite makes the -shm with the umask's rights and then adds those of the group."""
    url = f"sqlite:///{shared}/log?mode=0660"
    with program(ANN, "share", url) as one:
        assert said(one) == "listening True"
        (shared / "log-shm").chmod(0o640)
        with program(BOB, "share-step-by-step", url) as other:
            assert said(other) == said(other) == "connecting"
            (shared / "log-shm").chmod(0o660)
            while (line := said(other)) == "connecting":
                pass
            assert line == "listening True"
            go_on(one, other)
            assert said(one) == f"from {ANN} from {BOB}"


@as_root
@pytest.mark.parametrize("mode", ["0600", "0660"])
@pytest.mark.parametrize("umask", ["022", "077"])
def test_root_comes_first(shared, mode, umask):
    """What root makes in a service's folder can be used by the service, and rung."""
    shared.chmod(0o755)
    url = f"sqlite:///{shared}/deep/log?mode={mode}"
    with program(0, "make", shared / "deep", umask=umask) as root:
        assert said(root) == "made"
    with program(0, "share", url, umask=umask) as root:
        assert said(root) == "listening True"
        bells = list((shared / "deep" / "log-bells").iterdir())
        assert len(bells) == 1
        with program(ANN, "share", url) as one:
            assert said(one) == "listening True"
            go_on(root, one)
            assert said(root) == said(one) == f"from 0 from {ANN}"
        found = [shared / "deep", *(shared / "deep").rglob("*")]
        assert {one.lstat().st_uid for one in found} == {ANN}
        assert {one.lstat().st_gid for one in (found[0], *bells)} == {TEAM}


@as_root
def test_what_root_gives(shared):
    """Only what is empty or a socket: the owner may have put something of root's there."""
    (shared / "full").mkdir()
    (shared / "full" / "file").touch()
    (shared / "link").symlink_to(shared.parent)
    for found in (shared / "full", shared / "full" / "file", shared / "link"):
        give(found, shared)

        assert found.lstat().st_uid == 0
    assert shared.parent.stat().st_uid == 0


@as_root
def test_rights_of_a_umask_are_no_sharing(shared):
    """A file that was restored with a umask of 002 is tightened, as any other."""
    shared.chmod(0o775)
    os.chown(given(shared / "log", 0o664), ANN, TEAM)

    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"

        assert modes(shared)[""] == "0o600"


@as_root
@pytest.mark.parametrize(("owner", "group", "mode"), [(ANN, ANN, 0o755), (0, TEAM, 0o2775)])
async def test_root_uses_the_file_of_a_service(shared, owner, group, mode):
    """An administrator's command publishes into the application's file, which keeps its owner."""
    os.chown(shared, owner, group)
    shared.chmod(mode)
    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"
        async with opened(shared / "log") as broker:
            await broker.append("a", Event("from root"))
        go_on(one)
        assert said(one) == "from 40001 from root"
        assert {found.stat().st_uid for found in shared.iterdir()} == {ANN}
