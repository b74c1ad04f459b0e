"""The driver's parser in Python: what people have who did not install the extra for speed."""

import os
import subprocess
import sys
from pathlib import Path

# Files of this folder that read all kinds of answers, run once more.
FILES = ("test_pipe.py", "test_storage.py")


def test_the_parser_in_python():
    """The same answers are read; here the parser in C is not to be found."""
    folder = Path(__file__).parent
    program = (
        "import sys, pytest; sys.modules['hiredis'] = None;"
        "from redis.utils import HIREDIS_AVAILABLE; assert not HIREDIS_AVAILABLE;"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        [sys.executable, "-c", program, "-q", "-p", "no:cacheprovider"]
        + [folder / name for name in FILES],
        env=environment,
        cwd=folder.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
