"""Messages that others have written into Redis are skipped; those that are ours are not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_redis import opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.redis.values import dump_event, load_event
from heliograph.brokers.values import PLAIN, Terms
from heliograph.channels.position import Position

GOOD = '{"data": "x"}'

_text = st.text(st.characters(exclude_categories=["Cs"]))
_line = st.none() | st.text(
    st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])
)


@given(
    st.builds(
        Event, _text, type=_line, id=_line, retry_ms=st.none() | st.integers(0, 2**63 - 1)
    ),
    st.sampled_from([PLAIN, Terms(), Terms(is_end=True), Terms(retain_as="key")]),
)
def test_round_trip(event, terms):
    """An event is read as it was written."""
    position = Position("e", 1)

    entry = load_event("a", position, "1.5", dump_event(event, terms).encode())

    assert (entry.event, entry.position) == (event, position)
    assert (entry.is_end, entry.retained_as) == (terms.is_end, terms.retain_as)


# Add a row, not a test.
FOREIGN_MESSAGES = {
    "junk": "junk",
    "not-utf-8": b"\xff\xfe",
    "few-parts": f"e 1 0 {GOOD}",
    "epoch-empty": f" 1 0 t - {GOOD}",
    "epoch-long": f"{'e' * 17} 1 0 t - {GOOD}",
    "epoch-odd": f"e_ 1 0 t - {GOOD}",
    "epoch-not-utf-8": b"\xff 1 0 t - " + GOOD.encode(),
    "offset-2**63": f"e {2**63} 0 t - {GOOD}",
    "offset-2**64": f"e {2**64} 0 t - {GOOD}",
    "offset-of-5000-digits": f"e {'9' * 5000} 0 t - {GOOD}",
    "offset-negative": f"e -1 0 t - {GOOD}",
    "offset-signed": f"e +1 0 t - {GOOD}",
    "offset-underlined": f"e 1_0 0 t - {GOOD}",
    "offset-word": f"e x 0 t - {GOOD}",
    "offset-not-utf-8": b"e \xff 0 t - " + GOOD.encode(),
    "time-nan": f"e 1 nan t - {GOOD}",
    "time-inf": f"e 1 -inf t - {GOOD}",
    "time-large": f"e 1 1e999 t - {GOOD}",
    "time-word": f"e 1 now t - {GOOD}",
    "token-empty": f"e 1 0  - {GOOD}",
    "token-not-utf-8": b"e 1 0 \xff - " + GOOD.encode(),
    "event-not-json": "e 1 0 t - not-json",
    "event-not-utf-8": b'e 1 0 t - {"data": "\xff"}',
    "event-list": "e 1 0 t - []",
    "event-text": 'e 1 0 t - "data"',
    "event-number": "e 1 0 t - 5",
    "event-null": "e 1 0 t - null",
    "event-deep": "e 1 0 t - " + "[" * 99_999,
    "event-long-number": "e 1 0 t - " + "9" * 5000,
    "data-missing": 'e 1 0 t - {"id": "x"}',
    "data-number": 'e 1 0 t - {"data": 5}',
    "data-surrogate": 'e 1 0 t - {"data": "\\ud800"}',
    "type-two-lines": 'e 1 0 t - {"data": "x", "type": "a\\nb"}',
    "id-nul": 'e 1 0 t - {"data": "x", "id": "\\u0000"}',
    "id-number": 'e 1 0 t - {"data": "x", "id": 5}',
    "retry-2**63": f'e 1 0 t - {{"data": "x", "retry": {2**63}}}',
    "retry-negative": 'e 1 0 t - {"data": "x", "retry": -1}',
    "retry-nan": 'e 1 0 t - {"data": "x", "retry": NaN}',
    "retry-true": 'e 1 0 t - {"data": "x", "retry": true}',
}


@pytest.mark.parametrize("message", FOREIGN_MESSAGES.values(), ids=FOREIGN_MESSAGES.keys())
async def test_foreign_messages(server, message, caplog):
    """They are logged and skipped; the connection stays, and brings what comes next."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        for name in ("a", "b"):
            await broker.listen(name)
        with server.client() as client:
            client.publish("heliograph:{a}:live", message)
        entries = [await broker.append(name, Event("x")) for name in ("b", "a")]

        await ear.wait_for_entries(2)
        assert {entry.channel: entry for entry in ear.entries} == {
            entry.channel: entry for entry in entries
        }
        assert ear.connection == []
    assert "channel 'a': skipped a message that is none of ours" in caplog.text


def test_foreign_data_without_assertions(server):
    """Python that was told to drop assertions skips it all the same."""
    program = Path(__file__).parent.parent / "programs/foreign.py"
    with server.client() as client:
        client.hset("heliograph:{b}:channel", mapping={"epoch": "e", "head": str(2**63)})

    done = subprocess.run(
        [sys.executable, "-O", program, server.url],
        input="".join(
            json.dumps(message) + "\n"
            for message in FOREIGN_MESSAGES.values()
            if isinstance(message, str)
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    said = json.loads(done.stdout)
    assert said == {"optimized": True, "heard": ["a 1", "b 1"], "connection": []}
