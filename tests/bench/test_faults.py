"""The program of random faults runs, briefly."""

import subprocess
import sys
from pathlib import Path

import pytest

from programs import unmeasured

# It starts them in its own process.
pytestmark = pytest.mark.server

_PROGRAM = Path(__file__).parents[2] / "bench" / "faults"


@pytest.mark.timeout(180)
def test_nothing_is_lost(tmp_path):
    """Two servers and their file are harmed for some seconds; each event arrives once."""
    run = subprocess.run(
        [sys.executable, _PROGRAM, "--minutes", "0.1", "--between", "0.5", "--seed", "17",
         "--storage", "sqlite", "--readers", "4"],
        check=False, capture_output=True, text=True,
        env=unmeasured() | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip

    assert run.returncode == 0, run.stdout + run.stderr
    assert "seed 17: nothing was lost" in run.stdout
