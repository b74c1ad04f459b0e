"""A database that other processes may know by another name is refused."""

import os

import pytest
from sqlite_files import expect_refused, opened, run_program
from users import as_root

from heliograph import Event


def run_mounted(*arguments):
    """Publish where something is mounted, which only root may do, and not in all containers."""
    with run_program("mounted.py", *arguments) as program:
        out, _ = program.communicate(timeout=50)
    if out == "cannot mount\n":
        pytest.skip("this process may not mount anything")
    return out


@as_root
@pytest.mark.parametrize("name", ["log", "a \\ b"])
def test_a_file_that_is_mounted_by_itself(folder, name):
    """Two containers would write two logs; where the folder is mounted it works."""
    for made in ("host", "container"):
        (folder / made).mkdir()
        (folder / made / name).touch(0o600)
    path = folder / "container" / name

    out = run_mounted(path, folder / "host" / name, path)

    assert out.startswith(f"ConfigError {path} is a file that is mounted by itself")
    assert (
        f"mount the folder instead, and write the path of a file in it: {path.parent}"
        in out
    )
    assert run_mounted(path, folder / "host", path.parent) == "stored 1\n"
    assert (folder / "host" / name).stat().st_size


@as_root
def test_a_file_system_that_is_read_only(folder):
    """It is a mistake of the configuration, with or without a database there."""
    (folder / "host").mkdir()
    (folder / "here").mkdir()
    arguments = (folder / "here" / "log", folder / "host", folder / "here")
    for before in (None, "stored 1\n"):
        if before is not None:
            assert run_mounted(*arguments) == before

        out = run_mounted(*arguments, "read-only")

        assert out.startswith(f"ConfigError {folder}/here/log: ")
        assert f"{folder}/here is on a file system that is mounted read-only" in out


async def test_a_file_with_two_names(folder):
    """It would have a log beside each; a copy has one name."""
    path = folder / "log"
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    (folder / "elsewhere").mkdir()
    os.link(path, folder / "elsewhere" / "log")

    await expect_refused(path, r"has 2 names \(hard links\).*cp -p")

    (folder / "elsewhere" / "log").unlink()
    async with opened(path) as broker:
        assert (await broker.append("a", Event("x"))).position.offset == 2
