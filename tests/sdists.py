"""Source distributions of other packages, fetched when they are needed and never kept."""

import hashlib
import subprocess
import sys
import tarfile


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
