"""The fuzz targets run, briefly, with every test run."""

import importlib.util
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

_path = Path(__file__).parent.parent / "fuzz" / "fuzz_parser.py"
_spec = importlib.util.spec_from_file_location("fuzz_parser", _path)
fuzz_parser = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz_parser)


@given(st.binary(max_size=200))
def test_any_bytes(data):
    """Success or the documented error, and the same in any chunking."""
    fuzz_parser.fuzz_one_input(data)


def test_mutated_streams():
    """Mutations of real streams reach further than random bytes."""
    counts = fuzz_parser.main(0.5)

    # Neither the parser's answers nor its errors are all there is.
    assert 0 < counts["with events"] < counts["inputs"]
    assert 0 < counts["too large"] < counts["inputs"]
