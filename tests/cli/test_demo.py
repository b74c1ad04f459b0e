"""``heliograph demo``: its options and its errors. tests/demo runs it."""

from heliograph.cli import main


def test_help(capsys):
    """Every option is explained."""
    assert main(["demo", "--help"]) == 0

    text = capsys.readouterr().out
    for word in ("--port", "--api-port", "--folder", "Ctrl-C"):
        assert word in text


def test_error(capsys):
    """An error of the demo is one line, and the exit code is 1."""
    assert main(["demo", "--port", "8123", "--api-port", "8123"]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("heliograph: --port and --api-port must differ")
    assert shown.err.count("\n") == 1
