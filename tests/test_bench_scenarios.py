"""The bench runs, makes tables and a page of what it measured, and judges it."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from programs import unmeasured

pytestmark = pytest.mark.once

_BENCH = Path(__file__).parents[1] / "bench"
_PAGE = _BENCH.parent / "docs" / "performance.md"


@pytest.fixture
def module(monkeypatch):
    """Import a module of the bench, which finds the others beside it."""
    monkeypatch.syspath_prepend(str(_BENCH))
    before = set(sys.modules)
    # The tests have a module of that name.
    hidden = {name: sys.modules.pop(name) for name in ("hubs",) if name in sys.modules}
    yield importlib.import_module
    for name in set(sys.modules) - before | {"hubs"}:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        if file.startswith(str(_BENCH)):
            del sys.modules[name]
    sys.modules.update(hidden)


def _row(hub, kind, **fields):
    return {"hub": hub, "kind": kind} | fields


@pytest.mark.server
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_bench_of_seconds(tmp_path):
    """Ours and the floor are measured: nothing is lost, and there are tables and JSON."""
    run = subprocess.run(
        [sys.executable, _BENCH, "b", "e", "--streams", "0.002", "--seconds", "0.02",
         "--hubs", "FastAPI on uvicorn", "floor", "--results", tmp_path],
        check=False, capture_output=True, text=True, env=unmeasured(), timeout=50,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout + run.stderr
    assert "left out" not in run.stdout + run.stderr
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(found) == {"b_steady", "e_storm"}
    for result in found.values():
        assert result["scale"] == "partial"
        for row in result["rows"]:
            assert row["holes"] == row["repeats"] == row["closed"] == row["silent"] == 0
    kinds = [row["kind"] for row in found["b_steady"]["rows"]]
    assert kinds == ["ours"] * 3 + ["floor"] * 3
    assert "5,000 streams, 10 events a second" in run.stdout


def test_a_hub_that_fails_is_left_out(module):
    """The others are measured, and its table says why."""
    rig, tables = module("rig"), module("tables")

    class Hub:
        def __init__(self, name):
            self.name = name

    def measure(_, hub):
        if hub.name == "broken":
            raise RuntimeError("no such module")
        yield {"rate": 100.0}

    hubs = [Hub("broken"), Hub("whole")]
    bench = rig.Bench([], hubs, None, rig.FULL)
    rows = list(bench.each(bench.hubs, measure))
    table = tables.table("t", rows, [tables.Column("rate", "rate", tables.count)])

    assert table.lines == [["whole", "100"]]
    assert table.notes == ["broken: left out: RuntimeError: no such module"]


def test_a_disturbed_run_is_repeated(module):
    """As often as the scale says; the quietest counts, and is marked if it was loud, too."""
    rig, noise = module("rig"), module("noise")
    levels = iter([0.5, 0.2, 0.3])

    class Watch:
        def __enter__(self):
            self.noise = noise.Noise(1.0)
            return self.noise

        def __exit__(self, *_):
            self.noise.foreign = next(levels)

    rig.watch = lambda *_: Watch()
    bench = rig.Bench([], [], None, rig.FULL)
    results = iter("abc")
    result, found = bench.quietest({0}, lambda: next(results))

    assert result == "b"
    assert found == {"attempts": 3, "foreign": 0.2, "stolen": 0.0, "loud": True}


def test_ratios_and_marks(module):
    """Ours are compared with the best peer; what was disturbed or flawed is marked."""
    tables = module("tables")
    rows = [
        _row("floor", "floor", rate=900_000),
        _row("slow", "peer", rate=50.0),
        _row("fast", "peer", rate=100.0, holes=3, load_cpu=0.95),
        _row("ours", "ours", rate=250.0, loud=True),
    ]
    table = tables.table(
        "title", rows, [tables.Column("rate", "rate", tables.count, best=max)]
    )

    assert table.lines == [
        ["ours", "250 (2.50x) ~"],
        ["slow", "50"],
        ["fast", "100 ! *"],
        ["floor", "900 k"],
    ]
    assert "| ours | 250 (2.50x) ~ |" in table.markdown()
    assert "ours   250 (2.50x) ~" in table.text()


@pytest.mark.parametrize(
    ("ours", "verdict"), [(12_500, "met"), (11_500, "missed"), (None, None)]
)
def test_targets(module, ours, verdict):
    """They are judged by the rows that they need, and not without these."""
    rows = []
    for streams in (1000, 5000):
        about = {"streams": streams, "feed": "HTTP"}
        rows.append(_row("nchan", "peer", deliveries_per_second=1000, **about))
        if ours:
            row = _row("Heliograph on uvicorn", "ours", deliveries_per_second=ours, **about)
            rows.append(row)
    judged = module("targets").judge({"a_flood": rows})

    assert [one.verdict for one in judged] == ([verdict] if verdict else [])


def test_a_median_keeps_flaws(module):
    """One run that lost events is not outvoted; one that was disturbed is."""
    runs = [
        {"hub": "ours", "p50": p50, "holes": holes, "loud": loud}
        for p50, holes, loud in [(3.0, 0, True), (9.0, 500, False), (4.0, 0, False)]
    ]

    assert module("rig").median_row(runs) == {
        "hub": "ours",
        "p50": 4.0,
        "holes": 500,
        "loud": False,
    }


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        pytest.param({}, "met", id="the-same"),
        pytest.param({"p99": 20.3}, "met", id="one-class-above"),
        pytest.param({"p99": 20.5}, "missed", id="above"),
        pytest.param({"cpu_us_per_delivery": 10.1}, "missed", id="more-cpu"),
    ],
)
def test_latencies_are_known_to_their_classes(module, ours, verdict):
    """What differs by less counts as equal, and the table says so."""
    theirs = {"p50": 10.0, "p99": 20.0, "cpu_us_per_delivery": 10.0}
    about = {"streams": 1000, "rate": 50}
    rows = [
        _row("nchan", "peer", **about, **theirs),
        _row("Heliograph on uvicorn", "ours", **about, **(theirs | ours)),
    ]

    (judged,) = module("targets").judge({"b_steady": rows})

    assert judged.verdict == verdict
    assert ("count as equal" in judged.measured) is (ours == {"p99": 20.3})


def test_what_many_streams_take(module):
    """Unit costs times streams: processes, memory, processor time, time to reconnect."""
    needs = module("growth").needs(
        {
            "bytes_per_stream": 2000,
            "kernel_per_stream": 3000,
            "process_bytes": 50_000_000,
            "opened_per_second": 5000,
            "caught_up_per_second": 2500,
            "cpu_us_per_delivery": 10,
            "cpu_us_per_event": 100,
            "redis_bytes_per_event": 200,
            "redis_connections": 3,
        },
        1_000_000,
    )

    assert needs == {
        "processes": 50,
        "cores": pytest.approx(15),
        "share of a core, each": pytest.approx(0.3),
        "memory, GB": pytest.approx(4.5),
        "kernel memory, GB": pytest.approx(3),
        "events/s through Redis": 1000,
        "Redis sends, MB/s": pytest.approx(10),
        "connections to Redis": 150,
        "all are open again after a deploy, s": 4,
        "all have caught up with 100 events, s": 8,
    }


def test_the_page_has_a_part_for_each_scenario(module):
    """What is measured is shown."""
    parts = re.findall(
        r"<!-- bench: (\w+) -->\n.*?<!-- end -->", _PAGE.read_text(), re.DOTALL
    )

    assert sorted(parts) == sorted(
        [*module("scenarios").SCENARIOS, "measured", "targets", "growth"]
    )


def test_writing_the_page(module, tmp_path):
    """Tables and plots replace what was there, and only that."""
    page = tmp_path / "performance.md"
    page.write_text("Before\n<!-- bench: k_large -->\nold\n<!-- end -->\nbehind\n")
    row = _row("Heliograph <on> uvicorn", "ours", how="flood", bytes_per_second=2.5e9)
    results = {"k_large": {"at": "today", "rows": [row]}}
    for _ in range(2):
        module("report").write_page(results, page)

    text = page.read_text()
    assert text.startswith("Before\n<!-- bench: k_large -->\n\n![")
    assert text.endswith("(today)\n\n<!-- end -->\nbehind\n")
    assert "old" not in text
    assert "| Heliograph <on> uvicorn | 2,500 |" in text
    (plot,) = re.findall(r"\]\((performance/\S+\.svg)\)", text)
    svg = ET.parse(tmp_path / plot).getroot()
    assert svg.get("aria-label") == "MB/s to 500 streams, events of 64 KB"
    assert "Heliograph <on> uvicorn" in [node.text for node in svg.iter()]


def test_curves(module):
    """A line for each label, and a legend."""
    plot = module("plots").curves("c", "title", {"a": [1.0, 2.0], "b": [3.0]}, "x", str)

    root = ET.fromstring(plot.svg)
    names = [node.tag.rpartition("}")[2] for node in root.iter()]
    assert names.count("polyline") == 2
    assert {"a", "b"} <= {node.text for node in root.iter()}
