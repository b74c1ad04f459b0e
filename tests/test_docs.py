"""The documentation says what the code does."""

import ast
import dataclasses
import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from heliograph import HubConfig
from heliograph.brokers.redis.address import DEFAULT_PREFIX
from heliograph.brokers.redis.options import OPTIONS as REDIS_OPTIONS
from heliograph.channels.options import COMPRESSIONS, RULES
from heliograph.cors.names import DEFAULT_METHODS
from heliograph.cors.policy import OPTIONS
from heliograph.documentation import DOCUMENTATION
from heliograph.faces.settings import KEYS
from heliograph.flask.cors_config import CONFIG_KEYS
from heliograph.flask.cors_options import make_rules
from heliograph.flask.settings import FLASK_SSE_KEYS, URL_ALIASES
from servers import FALLBACK, TAKEN_OVER

ROOT = Path(__file__).parent.parent


def test_the_table_of_servers_is_complete():
    """Each server that is tested has its line; the tool that writes it knows them all."""
    spec = importlib.util.spec_from_file_location("table", ROOT / "tools/servers_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)

    lines = (ROOT / "docs/servers.md").read_text().splitlines()
    cells = [line.split(" | ") for line in lines if line.startswith("| ")]
    shown = [line[0].removeprefix("| ") for line in cells[2:]]

    assert set(table.NAMES) == {*TAKEN_OVER, *FALLBACK}
    assert shown == [table.NAMES[name][0] for name in (*TAKEN_OVER, *FALLBACK)]
    assert [line[2] == "taken over" for line in cells[2:]] == [
        name in TAKEN_OVER for name in (*TAKEN_OVER, *FALLBACK)
    ]


def test_the_oldest_releases_are_stated():
    """Those that the tests run with."""
    page = (ROOT / "docs/servers.md").read_text()
    paragraph = page.partition("oldest releases")[2].partition("\n\n")[0]
    stated = dict(re.findall(r"(\w+)\s(\d+(?:\.\d+)+)", paragraph.lower()))
    pins = dict(
        re.findall(
            r"^(\w+)==(\S+)", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE
        )
    )
    pins["uwsgi"] = pins["pyuwsgi"]

    assert len(stated) == 7
    assert stated == {name: pins[name] for name in stated}


def test_every_key_is_documented():
    """Each with its default, and no other."""
    text = (ROOT / "docs/configuration.md").read_text()
    table = dict(re.findall(r"^\| `(SSE_\w+)` \| `([^`]*)`", text, re.MULTILINE))
    defaults = {
        f"SSE_{field.name.upper()}": repr(field.default)
        for field in dataclasses.fields(HubConfig)
    }

    assert set(table) == {*KEYS, *FLASK_SSE_KEYS}
    assert all(f"`{key}`" in text for key in URL_ALIASES)
    assert table["SSE_FLASK_SSE_COMPAT"] == "False"
    assert table["SSE_PLAIN_FORMAT"] == '"flask-sse"'
    for key, default in defaults.items():
        assert table[key] == default, key
    assert (table["SSE_PRIVATE"], table["SSE_TAKE_OVER"]) == ("False", "True")


def test_every_option_of_a_channel_is_documented():
    """Each with its values and the key that it replaces, and no other."""
    text = (ROOT / "docs/configuration.md").read_text().partition("| option |")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| `(\w+)` \|", text, re.MULTILINE)
    table = {name: values for name, values, _ in rows}

    assert [(name, key) for name, _, key in rows] == [
        (name, f"SSE_{name.upper()}") for name in RULES
    ]
    values = [value.strip('`"') for value in table["compression"].split(", ")]
    assert values == [str(value) for value in COMPRESSIONS]


def test_every_option_of_cors_is_documented():
    """Each with its default in Flask, and no other."""
    table = dict(
        re.findall(
            r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs/cors.md").read_text(), re.MULTILINE
        )
    )
    ((_, rule),) = make_rules({})
    defaults = {name: getattr(rule.policy, name) for name in OPTIONS}
    defaults |= {"automatic_options": True, "intercept_exceptions": True, "resources": "/*"}
    written = {
        "origins": '`"*"`',
        "methods": ", ".join(f"`{method}`" for method in DEFAULT_METHODS),
        "allow_headers": '`"*"`',
        "expose_headers": "none",
        "resources": '`"/*"`',
    }

    assert {f"CORS_{name.upper()}" for name in table} == set(CONFIG_KEYS)
    for name, default in defaults.items():
        assert table[name] == written.get(name, f"`{default!r}`"), name


def test_every_option_of_redis_is_documented():
    """And no other."""
    text = (ROOT / "docs/redis.md").read_text().partition("| option |")[2]
    rows = re.findall(r"^\| (`.*?`) \|", text.partition("```")[0], re.MULTILINE)
    names = [name.strip("`") for row in rows for name in row.split(", ")]

    assert set(names) == set(REDIS_OPTIONS)
    assert f"| `prefix` | `{DEFAULT_PREFIX}` |" in text


def _texts(path):
    """Yield the texts of a module that are not docstrings, and the pages that it names."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "page":
            yield "page", node.args[0].value
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield "text", node.value


@pytest.mark.once
def test_messages_name_pages_that_the_wheel_has(tmp_path):
    """A user of the wheel has no folder docs, but the one that a message names."""
    texts = [each for path in (ROOT / "src").rglob("*.py") for each in _texts(path)]
    named = {name for kind, name in texts if kind == "page"}
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", tmp_path, "-t"]
    subprocess.run([*hatchling, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatchling, "wheel"], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()

    assert {"deployment.md", "redis.md"} <= named
    pages = {
        path.relative_to(DOCUMENTATION).as_posix()
        for path in DOCUMENTATION.rglob("*")
        if path.is_file()
    }
    assert named <= pages
    assert {f"heliograph/docs/{name}" for name in pages} <= {*files}
    assert [text for kind, text in texts if kind == "text" and "docs/" in text] == []


def _prose(text):
    """Return a page without its blocks of code, where a call may look like a link."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


# (a page, what it links to in this repository)
LINKS = [
    pytest.param(page, target, id=f"{page.relative_to(ROOT)}-{target}")
    for page in [*sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("*.md"))]
    for target in sorted(set(re.findall(r"\]\(([^)#]+)\)", _prose(page.read_text()))))
    if "://" not in target
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_links(page, target):
    """A link of a page leads to a file that exists."""
    assert (page.parent / target).exists()


def test_the_examples_are_short():
    """Whoever reads one has understood it before he scrolls."""
    readme = (ROOT / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    lengths = [len([line for line in one.splitlines() if line]) for one in programs]

    assert lengths == [11, 18]


def test_every_extra_is_named():
    """The README has all that can be installed, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(
        r"^\| `heliograph\[(\w+)\]`", (ROOT / "README.md").read_text(), re.MULTILINE
    )

    assert sorted(named) == sorted(project["optional-dependencies"])


def test_commands_of_the_readme_exist():
    """Each make target that is named can be made."""
    targets = re.findall(r"`?make ([\w-]+)", (ROOT / "README.md").read_text())

    assert targets
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True
        )


def test_every_recipe_is_listed():
    """And each names the files that it consists of."""
    recipes = {path.name: path.read_text() for path in (ROOT / "docs/recipes").glob("*.md")}
    listed = re.findall(
        r"^\| \[.*?\]\(([\w-]+\.md)\)", recipes.pop("README.md"), re.MULTILINE
    )

    assert sorted(listed) == sorted(recipes)
    for name, text in recipes.items():
        assert "\n`app.py`:\n\n```python\n" in text, name
