"""What `make test` does with a test that fails: it is run once more, alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers import unmeasured

# Each test runs pytest, up to twice, and most of them in two processes.
pytestmark = [pytest.mark.once, pytest.mark.timeout(120)]

ROOT = Path(__file__).parent.parent

TESTS = """
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("a@group")


def once(name):
    ran = Path(__file__).with_name(f"ran {name}")
    had_run = ran.exists()
    ran.touch()
    return had_run


def test_passes():
    pass

@pytest.mark.parametrize("given", ["a::b@c_d[e]", "x" * 3000, "é\\n"])
def test_fails_once(given):
    assert once(str(len(given)))

@pytest.fixture
def breaks_once():
    yield
    assert once("teardown")

def test_ends_badly_once(breaks_once):
    pass

def test_skips_the_second_time():
    if once("skip"):
        pytest.skip()
    assert not "yet"

def test_always_fails():
    assert not "ever"

@pytest.mark.parametrize("n", range(11))
def test_many(n):
    assert not "all"

def test_crashes_once():
    if not once("crash"):
        os._exit(1)
"""

TOGETHER = ["-p", "xdist", "-n", "2", "--dist", "loadgroup"]
IDS = [
    "test_it.py::test_ends_badly_once",
    r"test_it.py::test_fails_once[\xe9\n]",
    "test_it.py::test_fails_once[a::b@c_d[e]]",
    "test_it.py::test_fails_once[xxx",
]


@pytest.fixture
def run(tmp_path):
    """Run some of those tests; give the exit status, what is counted, and the flaky ones."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = xdist_group\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    flaky = tmp_path / "flaky"

    def run(*options):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tools.retest", *options],
            cwd=tmp_path,
            env={
                **unmeasured(),
                "PYTHONPATH": str(ROOT),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "FLAKY_TESTS": str(flaky),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        print(ran.stdout, ran.stderr)
        noted = flaky.read_text().splitlines() if flaky.exists() else []
        for line in noted:
            assert line in ran.stdout
        closing = re.findall(
            r"(\d+) (\w+)", ran.stdout.splitlines()[-1].partition(" in ")[0]
        )
        counts = {what: int(count) for count, what in closing if what != "deselected"}
        return ran.returncode, counts, noted

    return run


@pytest.mark.parametrize("options", [[], TOGETHER], ids=["in-one-process", "in-workers"])
def test_what_fails_once(run, options):
    """It is named and counted, and fails nothing."""
    status, counts, flaky = run(*options, "-k", "passes or once and not crashes")

    assert status == 0
    # The one that ends badly has passed before it did.
    assert counts == {"passed": 2, "flaky": 4}
    for name, line in zip(IDS, flaky, strict=True):
        assert line.startswith(f"flaky: {name}")


# (options, the counts of the last line, how many tests are flaky)
FAILURES = [
    pytest.param(["-k", "always or c_d"], {"failed": 1, "flaky": 1}, 1, id="again"),
    pytest.param([*TOGETHER, "-k", "always or c_d"], {"failed": 1, "flaky": 1}, 1, id="again-in-workers"),
    pytest.param(["-k", "skips"], {"failed": 1}, 0, id="skipped-then"),
    pytest.param(["-k", "many"], {"failed": 11}, 0, id="too-many"),
    pytest.param([*TOGETHER, "-k", "many"], {"failed": 11}, 0, id="too-many-in-workers"),
    pytest.param([*TOGETHER, "-k", "crashes or c_d"], {"failed": 2, "passed": 1}, 0, id="a-worker-that-crashes"),
    pytest.param(["-x", "-k", "c_d or always"], {"failed": 1}, 0, id="a-run-that-stops-early"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "counts", "flaky"), FAILURES)
def test_what_fails(run, options, counts, flaky):
    """The run fails, and its last line says how many tests did."""
    status, counted, named = run(*options)

    assert status != 0
    assert counted == counts
    assert len(named) == flaky


@pytest.mark.parametrize("options", [[], TOGETHER], ids=["in-one-process", "in-workers"])
def test_a_file_that_cannot_be_read(run, options, tmp_path):
    """What it holds has not run."""
    (tmp_path / "test_other.py").write_text("import nothing_of_that_name")

    status, _, flaky = run(*options, "-k", "c_d")

    assert status != 0
    assert not flaky


def test_the_same_seed(run, tmp_path, capsys):
    """What fails because of what is drawn at random is not flaky."""
    (tmp_path / "test_it.py").write_text(
        "import random\ndef test_draw():\n    print('drawn', random.random())\n    assert 0\n"
    )

    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p pytest_randomly\n")

    status, counts, _ = run()

    assert status == 1
    assert counts == {"failed": 1}
    first, again = re.findall("^drawn .*", capsys.readouterr().out, re.MULTILINE)
    assert first == again
