"""Another package's broker runs the contract in a project of its own."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from heliograph.brokers.contract import RecordingListener

# Each runs pytest in a process of its own.
pytestmark = [pytest.mark.once, pytest.mark.timeout(120)]

# Each with one mistake: (methods of a broker in memory, the test that has to fail).
MISTAKES = [
    pytest.param(
        """
        async def find(self, channel, event_id):
            found = self._channels.get(channel)
            matches = found.ids.get(event_id) if found else None
            return matches[-1] if matches else None
        """,
        "test_find",
        id="finds-what-occurs-twice",
    ),
    pytest.param(
        """
        async def read(self, channel, after, limit):
            return dataclasses.replace(await super().read(channel, after, limit), gap=None)
        """,
        "test_another_epoch_is_a_gap",
        id="hides-gaps",
    ),
    pytest.param(
        """
        def unlisten(self, channel):
            pass
        """,
        "test_unlisten",
        id="goes-on-listening",
    ),
    pytest.param(
        """
        @contextlib.asynccontextmanager
        async def inspect(self):
            async with super().inspect() as storage:
                newest = storage.newest

                async def newest_first(name, limit):
                    return [*await newest(name, limit)][::-1]

                storage.newest = newest_first
                yield storage
        """,
        "test_newest_entries",
        id="lists-backwards",
    ),
]

TESTS = """
    import contextlib
    import dataclasses

    import pytest

    from heliograph.brokers.contract import BrokerContract
    from heliograph.brokers.memory import MemoryBroker

    class ExampleBroker(MemoryBroker):
        {methods}

    class TestExample(BrokerContract):
        @pytest.fixture
        def new_broker(self):
            return lambda retention, clock: ExampleBroker(
                retention, clock=clock, sweep_seconds=0.05
            )

        @pytest.fixture
        def beside(self):
            async def itself(broker, /, *, events=100):
                return broker

            return itself
"""


def run(folder, methods, *options):
    """Run the contract's tests where no configuration of ours is in force."""
    body = textwrap.indent(textwrap.dedent(methods), " " * 4).strip()
    program = textwrap.dedent(TESTS).replace("{methods}", body)
    return run_program(folder, program, *options)


def run_program(folder, program, *options):
    """Run the tests of a file there."""
    (folder / "test_example.py").write_text(program)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:xdist", *options],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_a_broker_that_is_right(tmp_path):
    """All tests pass; those for which a fixture is missing are skipped, and say so."""
    done = run(tmp_path, "pass", "-rs")

    assert done.returncode == 0, done.stdout
    assert "override the fixture cost_of to test the cost of find" in done.stdout
    assert "override the fixture damage to test entries that cannot be read" in done.stdout
    assert "warning" not in done.stdout


def test_a_broker_that_cannot_be_inspected(tmp_path):
    """Its tests of that are skipped; the others pass."""
    done = run(
        tmp_path, "inspect = property()", "-rs", "-k", "newest or summarised or dense"
    )

    assert done.returncode == 0, done.stdout
    assert "has no method inspect: see heliograph.brokers.Inspectable" in done.stdout


@pytest.mark.parametrize(("methods", "test"), MISTAKES)
def test_a_broker_that_is_wrong(tmp_path, methods, test):
    """The test that is named for the rule fails, and shows the values it compared."""
    done = run(tmp_path, methods, "-k", f"{test} and not {test}_")

    assert done.returncode == 1, done.stdout
    assert f"TestExample::{test} - " in done.stdout
    assert "E       " in done.stdout


async def test_a_broker_that_loses_entries():
    """Its tests end, and say what has arrived."""
    listener = RecordingListener(timeout_seconds=0.01)

    with pytest.raises(TimeoutError, match=r"0 of 2 entries have arrived within 0.01 sec"):
        await listener.wait_for_entries(2)


def test_a_forgotten_fixture(tmp_path):
    """Whoever subclasses without ``new_broker`` is told what to write."""
    program = """
        from heliograph.brokers.contract import BrokerContract
        class TestExample(BrokerContract):
            pass
    """

    done = run_program(tmp_path, textwrap.dedent(program), "-k", "dense")

    assert "override the fixture new_broker to return a NewBroker" in done.stdout


def test_the_example_of_the_documentation(tmp_path):
    """It keeps the contract that its page explains."""
    page = (Path(__file__).parents[2] / "docs" / "brokers.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    done = run_program(tmp_path, "\n".join(blocks))

    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed, \d+ skipped", done.stdout)
