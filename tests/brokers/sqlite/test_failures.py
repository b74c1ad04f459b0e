"""An error of the file says what is in the way, whose it is, who we are and what to do."""

import os

import pytest
from users import BOB, TEAM, as_root, program, said

pytestmark = [as_root, pytest.mark.timeout(120)]


def closed_folder(folder):
    folder.chmod(0o700)
    return f"may not enter the folder {folder}", "mode 0700"


def folder_of_root(folder):
    folder.chmod(0o755)
    return f"may not write to the folder {folder}", "mode 0755"


def file_of_root(folder):
    folder.chmod(0o755)
    (folder / "log").touch(0o600)
    return f"{folder}/log (mode 0600) belongs to user 0 (root)", f"not to user {BOB}"


def file_that_root_has_opened(folder):
    """As a command of an administrator that came first."""
    folder.chmod(0o755)
    with program(0, "share", f"sqlite:///{folder}/log") as root:
        assert said(root) == "listening True"
    return f"{folder}/log (mode 0600) belongs to user 0 (root)", "for both"


def own_file_that_is_read_only(folder):
    os.chown(folder, BOB, BOB)
    (folder / "log").touch()
    os.chown(folder / "log", BOB, BOB)
    (folder / "log").chmod(0o400)
    return f"{folder}/log has mode 0400", "chmod 0600 it"


@pytest.mark.parametrize(
    "prepare",
    [
        closed_folder,
        folder_of_root,
        file_of_root,
        file_that_root_has_opened,
        own_file_that_is_read_only,
    ],
)
def test_what_is_in_the_way(folder, prepare):
    """Whoever reads it need not look anything up."""
    inner = folder / "app"
    inner.mkdir()
    words = prepare(inner)

    with program(BOB, "share", f"sqlite:///{inner}/log") as other:
        message = said(other)

    assert message.startswith("ConfigError")
    for word in words:
        assert word in message
    if "may not" in message:
        assert f"user {BOB} of groups {BOB}, {TEAM} may not" in message
        assert "(owner 0 (root), group 0 (root), mode" in message
        assert "chmod" in message
