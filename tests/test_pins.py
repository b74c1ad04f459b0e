"""What is installed to work on the package is known to the byte."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
FILES = [
    "constraints.txt",
    "constraints-oldest.txt",
    "requirements-pip.txt",
    "tests/fetched.txt",
]


def pins(name):
    """The versions in a file, each of which has to have hashes, and nothing else."""
    text = (ROOT / name).read_text()
    found = dict(
        re.findall(
            r"^([\w.-]+)==(\S+)(?: \\\n    --hash=sha256:[0-9a-f]{64})+$",
            text,
            re.MULTILINE,
        )
    )
    rest = re.sub(
        r"^(#.*|[\w.-]+==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n",
        "",
        text,
        flags=re.MULTILINE,
    )
    assert rest == ""
    return {canonicalize_name(one): version for one, version in found.items()}


def needed():
    """What the development environment needs, as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = {}
    waiting = ["heliograph[all]"]
    for name, group in project["dependency-groups"].items():
        # That one has an environment of its own.
        if name != "oldest":
            waiting += [one for one in group if isinstance(one, str)]
    while waiting:
        requirement = Requirement(waiting.pop())
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        extras = requirement.extras or {""}
        if key in found or not any(
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in extras
        ):
            continue
        found[key] = metadata.version(requirement.name)
        for text in metadata.requires(requirement.name) or []:
            inner = Requirement(text)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in extras
            ):
                inner.marker = None
                waiting.append(str(inner))
    return {name: version for (name, _), version in found.items()}


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_hashes(name):
    """And a file of pins has no addresses."""
    assert pins(name)


def test_all_that_is_needed_is_pinned():
    """Nothing is installed that nobody has looked at."""
    installed = needed()
    del installed["heliograph"]
    # The one that some Pythons bring along may stay.
    installed.pop("setuptools", None)

    assert len(installed) > 50
    assert installed.items() <= pins("constraints.txt").items()


def test_every_npm_package_has_its_integrity():
    """And no address."""
    lines = (ROOT / "tests/fetched_npm.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]

    assert pinned == sorted(pinned)
    for line in pinned:
        assert re.fullmatch(r"\S+ (@[\w-]+/)?[\w.-]+@\d+(\.\d+)+ sha512-[\w+/]{86}==", line)
