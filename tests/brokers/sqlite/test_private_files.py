"""Nobody but whom the file was given to reads or forges events, or has files removed."""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from contract import Ear

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.doorbell import ring
from heliograph.brokers.sqlite.private_files import change_mode, give, make_folder

PROGRAMS = Path(__file__).parents[1] / "programs"
RETENTION = Retention(events=100, seconds=3600)

as_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can make files of others and be others"
)
STRANGER = 65534
# Two users of one group, each with a group of its own.
ANN, BOB, TEAM = 40_001, 40_002, 40_100


@pytest.fixture
def folder():
    """A folder that others can reach, which those of pytest are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextlib.asynccontextmanager
async def opened(path, mode=0o600, listener=None):
    broker = SqliteBroker(path, RETENTION, mode=mode)
    await broker.open(listener or Ear())
    try:
        yield broker
    finally:
        await broker.close()


def modes(folder):
    return {
        str(found.relative_to(folder)).replace("log", "", 1): oct(
            stat.S_IMODE(found.lstat().st_mode)
        )
        for found in folder.rglob("*")
    }


def snapshot(folder):
    return {
        found: (found.lstat().st_mode, found.lstat().st_uid) for found in folder.rglob("*")
    }


def given(path, mode=0o600):
    """A file of a stranger's."""
    path.touch()
    os.chown(path, STRANGER, STRANGER)
    path.chmod(mode)
    return path


def linked(path, target, owner=STRANGER):
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


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


def with_mode(mode, name="log"):
    def prepare(folder):
        for one in {"log", name}:
            (folder / one).touch(0o600)
        (folder / name).chmod(mode)
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
    pytest.param(beside("-wal"), "log-wal belongs to", id="wal", marks=as_root),
    pytest.param(beside("-shm"), "log-shm belongs to", id="shm", marks=as_root),
    pytest.param(beside("-journal"), "log-journal belongs to", id="journal", marks=as_root),
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
    pytest.param(pipe, "is no file", id="pipe"),
    pytest.param(link_beside, "log-wal is no file", id="link-beside"),
]


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize(("prepare", "words"), REFUSED)
async def test_refused(folder, prepare, words, mode):
    """What a stranger may have made is a mistake of the configuration, and stays as it is."""
    path = prepare(folder)
    before = snapshot(folder)
    broker = SqliteBroker(path, RETENTION, mode=mode)

    with pytest.raises(ConfigError, match=words) as caught:
        await broker.open(Ear())

    assert len(caught.value.problems) == 1
    assert snapshot(folder) == before


async def test_all_problems_at_once(folder):
    """Whoever mends one need not come again for the next."""
    path = in_folder(0o777)(folder)
    path.touch()
    path.chmod(0o666)

    with pytest.raises(ConfigError) as caught:
        await SqliteBroker(path, RETENTION).open(Ear())

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
        for call in (broker.append("a", Event("2")), broker.read("a", None, 9)):
            with pytest.raises(BrokerUnavailableError, match="belongs to user 65534"):
                await call
        assert path.stat().st_size == 0

        for found in folder.glob("log*"):
            if found.is_file():
                found.unlink()

        assert (await broker.append("a", Event("3"))).position.offset == 1


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
        async with opened(folder / "log", asked) as broker:
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

    async with opened(path, asked) as broker:
        with pytest.raises(BrokerUnavailableError, match=r"another program|not a database"):
            await broker.append("a", Event("x"))

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
        await SqliteBroker(folder / "log", RETENTION, mode=mode).open(Ear())

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("error", [None, errno.EPERM])
async def test_a_file_on_a_file_system_without_modes(folder, without_modes, error):
    """Also if the database has been copied there."""
    async with opened(folder / "log") as broker:
        await broker.append("a", Event("x"))
    without_modes(0o755, error)

    with pytest.raises(ConfigError, match=r"cannot change the mode of .*without modes"):
        await SqliteBroker(folder / "log", RETENTION).open(Ear())


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


@pytest.mark.parametrize("name", [b"a?mode=ro#b", b"100%25 \xc3\xa9", b"\xff"])
async def test_any_name(folder, name):
    """A path is no URL to SQLite: no sign in it means anything."""
    path = folder / os.fsdecode(name)

    async with opened(path) as broker:
        await broker.append("a", Event("x"))

    assert path.read_bytes().startswith(b"SQLite")


async def test_a_link_without_end(folder):
    """It is an error of the file."""
    (folder / "log").symlink_to("log")

    async with opened(folder / "log") as broker:
        with pytest.raises(BrokerUnavailableError, match="symbolic links"):
            await broker.append("a", Event("x"))


def test_made_folders(folder):
    """What is in the place of a folder is an error; one that is there is left as it is."""
    (folder / "there").mkdir(mode=0o700)
    (folder / "file").touch()

    make_folder(folder / "there")
    for path in (folder / "file", folder / "file" / "deep"):
        with pytest.raises(OSError, match="file"):
            make_folder(path)

    assert modes(folder)["there"] == "0o700"


# Bells.


def foreign_bells(folder):
    bells = folder / "log-bells"
    bells.mkdir()
    os.chown(bells, STRANGER, STRANGER)
    return bells


def linked_bells(folder):
    (folder / "elsewhere").mkdir()
    (folder / "log-bells").symlink_to("elsewhere")
    return folder / "elsewhere"


@pytest.mark.parametrize(
    "prepare", [pytest.param(foreign_bells, marks=as_root), linked_bells]
)
async def test_bells_of_a_stranger(folder, prepare, caplog):
    """They are not rung, nothing is removed there, and listeners poll, which is logged once."""
    caplog.set_level(logging.WARNING)
    bells = prepare(folder)
    (bells / "file").touch()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as spy,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead,
    ):
        spy.bind(str(bells / "spy"))
        spy.setblocking(False)
        dead.bind(str(bells / "dead"))
        dead.close()
        ear = Ear()
        async with opened(folder / "log", listener=ear) as broker:
            await broker.listen("a")
            await broker.append("a", Event("x"))
            await ear.hear(1)
            while broker._mend_bell_at == 0:
                await asyncio.sleep(0.01)

        with pytest.raises(BlockingIOError):
            spy.recv(1)
    assert {found.name for found in bells.iterdir()} == {"file", "spy", "dead"}
    assert caplog.text.count("polling without doorbells") == 1
    assert "remove it" in caplog.text


def test_only_dead_sockets_are_removed(folder):
    """Whatever else is in the folder is left alone."""
    bells = folder / "log-bells"
    bells.mkdir(mode=0o700)
    (bells / "file").touch()
    (bells / "folder").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "outside"))
        (bells / "link").symlink_to(folder / "outside")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))

    ring(bells, 0o600)

    assert {found.name for found in bells.iterdir()} == {"file", "folder", "link"}


# Two users of one group.


@contextlib.contextmanager
def program(user, *arguments, umask="022"):
    with subprocess.Popen(
        [
            sys.executable,
            PROGRAMS / "shared.py",
            *map(str, (user, user, TEAM, umask, *arguments)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROGRAMS.parent)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(*processes):
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def said(process):
    return process.stdout.readline().strip()


@pytest.fixture
def shared(folder):
    made = folder / "shared"
    made.mkdir()
    os.chown(made, ANN, TEAM)
    made.chmod(0o2770)
    return made


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
def test_two_users_ring_each_other(shared):
    """A bell that one has hung is rung by the other, and a dead one removed."""
    bells = shared / "log-bells"
    with program(ANN, "hang", bells, "0660") as one:
        assert said(one) == "hung"
        with program(BOB, "ring", bells, "0660") as other:
            assert said(other) == "rang 1"
        assert said(one) == "rung"
    with program(BOB, "ring", bells, "0660") as other:
        assert said(other) == "rang 0"


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
def test_rights_of_a_umask_are_no_sharing(shared):
    """A file that was restored with a umask of 002 is tightened, as any other."""
    shared.chmod(0o775)
    os.chown(given(shared / "log", 0o664), ANN, TEAM)

    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"

        assert modes(shared)[""] == "0o600"


@as_root
def test_the_owner_does_not_share(shared):
    """A member who may not open the file learns who has to do what."""
    with program(ANN, "share", f"sqlite:///{shared}/log") as one:
        assert said(one) == "listening True"
        with program(BOB, "share", f"sqlite:///{shared}/log?mode=0660") as other:
            words = said(other)

    assert words.startswith("BrokerUnavailableError")
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

    assert words.startswith("BrokerUnavailableError")
    assert f"may not write to the folder {shared}" in words


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
