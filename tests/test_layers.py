"""Imports point down only, and what is said to be free of I/O is."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "heliograph"

# Lowest first. A module may import from its own row and from those below.
ROWS = [
    {"errors", "event", "rules"},
    {"wire", "channels", "cors", "config"},
    {"documentation", "retry", "logs", "native"},
    {"brokers"},
    {"hub"},
    {"servers"},
    {"faces"},
    {"flask", "asgi", "client", "publisher", "starlette"},
    {"doctor"},
    {"cli", "demo", "__main__"},
]
# Leaves and sans-IO: no loop, no socket, no thread, no clock, no framework.
PURE_ROWS = 2
IMPURE = {
    "asyncio", "socket", "select", "selectors", "ssl", "threading", "_thread", "multiprocessing",
    "concurrent", "subprocess", "time", "datetime", "sqlite3", "http", "urllib", "os", "pathlib", "random",
}  # fmt: skip

MODULES = sorted(
    path.relative_to(SOURCE)
    for path in SOURCE.rglob("*.py")
    if path != SOURCE / "__init__.py"
)


def row_of(name):
    (found,) = [index for index, row in enumerate(ROWS) if name in row]
    return found


def imports(path):
    """Absolute names that a module imports; ours begin with ``heliograph.``."""
    package = ["heliograph", *path.parts[:-1]]
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield module
            if module == "heliograph" or module in {
                f"heliograph.{m.parts[0]}" for m in MODULES
            }:
                yield from (f"{module}.{alias.name}" for alias in node.names)


def module_name(path):
    """The dotted name of a module, below ``heliograph``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def known_modules(path):
    """Our modules that a module imports, for types only or not; each by its own name."""
    names = {module_name(module) for module in MODULES}
    package = ["heliograph", *path.parts[:-1]]
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        if not module.startswith("heliograph"):
            continue
        module = module.removeprefix("heliograph").strip(".")
        for alias in node.names:
            below = f"{module}.{alias.name}".strip(".")
            if below in names:
                yield below
            elif module:
                yield module


def own_row(path):
    return row_of(path.parts[0].removesuffix(".py"))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path):
    """No module knows of one above it."""
    for name in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "heliograph"
            and len(parts) > 1
            and (SOURCE / parts[1]).with_suffix(".py").exists()
            | (SOURCE / parts[1]).is_dir()
        ):
            assert row_of(parts[1]) <= own_row(path), f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if own_row(p) < PURE_ROWS], ids=str)
def test_sans_io(path):
    """The lower rows handle values: they can do nothing else."""
    allowed = (set(sys.stdlib_module_names) | {"heliograph"}) - IMPURE

    assert {name.split(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("name", ["machine", "actions", "events"])
def test_the_machine_of_the_client_is_sans_io(name):
    """It decides; the faces have the clock, the socket and the loop. An address is text."""
    found = set(imports(Path("client", f"{name}.py")))

    assert found & IMPURE == set()
    assert {one for one in found if one.startswith("urllib")} <= {"urllib.parse"}
    assert {one.split(".")[0] for one in found} <= set(sys.stdlib_module_names) | {
        "heliograph"
    }


@pytest.mark.parametrize(
    "path", [p for p in MODULES if own_row(p) < row_of("flask")], ids=str
)
def test_below_the_faces_there_is_no_framework(path):
    """Only drivers and the faster loop are third parties there, where they are named."""
    third = (
        {n.split(".")[0] for n in imports(path)}
        - set(sys.stdlib_module_names)
        - {"heliograph"}
    )

    allowed = {
        "faces/tokens.py": {"itsdangerous"},
        "hub/threaded/event_loop.py": {"uvloop"},
        "servers/uwsgi.py": {"uwsgi"},
    }
    if path.parts[:2] == ("brokers", "contract"):
        assert third <= {"pytest", "pytest_asyncio"}
    elif path.parts[:2] == ("brokers", "redis"):
        assert third <= {"redis"}
    else:
        assert third <= allowed.get(path.as_posix(), set())


def test_no_module_knows_itself():
    """Who knows a type knows its module: imports for types count, and make no cycle."""
    known = {module_name(path): {*known_modules(path)} for path in MODULES}

    graphlib.TopologicalSorter(known).prepare()


def test_the_test_can_fail():
    """An arrow that points up is seen, whichever way it is written."""
    assert "channels.feed" in set(known_modules(Path("hub/subscriber.py")))
    assert "hub.threaded.loop" in set(known_modules(Path("hub/threaded/process.py")))
    assert "heliograph.errors" in set(imports(Path("event.py")))
    assert "heliograph.channels.position" in set(imports(Path("brokers/base.py")))
    assert row_of("hub") > row_of("brokers")


def test_import_needs_the_standard_library_only():
    """``import heliograph`` imports no third party."""
    program = (
        "import sys; before = set(sys.modules); import heliograph\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert set(out.split()) - set(sys.stdlib_module_names) == {"heliograph"}
    assert not {"asyncio", "sqlite3", "socket"} & set(out.split())
