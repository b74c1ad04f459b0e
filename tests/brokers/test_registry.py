"""Brokers are found by the scheme of their URL; what is wrong with one is said by name."""

import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from heliograph import ConfigError
from heliograph.brokers import Retention, open_broker, register_broker, registry
from heliograph.brokers.memory import MemoryBroker
from programs import unmeasured

ROOT = Path(__file__).parents[2]


def from_url(url, retention):
    """Make a broker in memory, whatever follows the colon."""
    return MemoryBroker(retention)


@pytest.fixture(autouse=True)
def _forget_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def test_own_brokers():
    """What ``pyproject.toml`` declares is what is found without metadata, and loads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"] == {registry.GROUP: registry.OWN}
    for scheme in registry.OWN:
        (claim,) = registry._claims(scheme)
        assert callable(claim.load())


def test_register():
    """The application's factory is called with the whole URL and the retention."""
    calls = []
    retention = Retention(events=5, seconds=6.0)
    broker = MemoryBroker(retention)
    register_broker("example", lambda *given: calls.append(given) or broker)

    assert open_broker("example://u:p@h/x?y=z", retention) is broker
    assert calls == [("example://u:p@h/x?y=z", retention)]


def test_register_again():
    """A module that is imported twice may register its factory twice."""
    register_broker("example", from_url)
    register_broker("example", from_url)

    assert isinstance(open_broker("example:"), MemoryBroker)


# (scheme, factory, what the message says). Add a row, not a test.
BAD_REGISTRATIONS = [
    ("example", None, "must be a function of a URL and a RetentionPolicy, not None"),
    ("", from_url, "not ''; write what precedes the colon"),
    ("Example", from_url, "lower-case letters"),
    ("exa mple", from_url, "lower-case letters"),
    ("example:", from_url, "lower-case letters"),
    ("redis", from_url, "is claimed by heliograph itself, heliograph.brokers.redis"),
    ("taken", from_url, "is claimed by this application's register_broker('taken'"),
]


@pytest.mark.parametrize(("scheme", "factory", "said"), BAD_REGISTRATIONS)
def test_bad_registrations(scheme, factory, said):
    """Each is refused when it is made, and leaves nothing behind."""
    register_broker("taken", lambda url, retention: MemoryBroker(retention))
    before = dict(registry._registered)

    with pytest.raises(ConfigError) as caught:
        register_broker(scheme, factory)

    assert said in str(caught.value)
    assert registry._registered == before


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "is None, which lacks resource, open, close, append, read"),
        (object(), "must return an object with all attributes and methods"),
        (MemoryBroker, "lacks resource:"),
    ],
    ids=["none", "object", "class"],
)
def test_a_factory_that_returns_no_broker(made, said):
    """It is refused when the URL is checked, not with the first publish."""
    register_broker("example", lambda url, retention: made)

    with pytest.raises(ConfigError) as caught:
        open_broker("example://user:secret@h")

    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_other_schemes_are_listed():
    """Whoever mistypes the scheme of another package's broker finds it in the message."""
    register_broker("example", from_url)

    with pytest.raises(ConfigError, match="other packages provide example:"):
        open_broker("exmple:")


# Distributions that are really installed, in programs of their own.


def install(folder, name, entry_points, **modules):
    """Install a distribution as pip does with ``--target``: modules and their metadata."""
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text))
    metadata = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
    )
    lines = "".join(f"{scheme} = {value}\n" for scheme, value in entry_points.items())
    (metadata / "entry_points.txt").write_text(f"[heliograph.brokers]\n{lines}")


def run(folder, program, *arguments):
    """Run a program in which the distributions of a folder are installed."""
    path = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + textwrap.dedent(program), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        # Coverage imports sqlite3.
        env=unmeasured(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


EXAMPLE = """
    from heliograph.brokers.memory import MemoryBroker

    def from_url(url, retention):
        return MemoryBroker(retention)
"""

OPEN = """
    from heliograph import ConfigError
    from heliograph.brokers import open_broker
    try:
        print(type(open_broker(sys.argv[1])).__name__)
    except ConfigError as error:
        print(error)
"""

FIRST = "the distribution first-example 1.2, first_example:from_url"
SECOND = "the distribution second-example 1.2, second_example:from_url"


@pytest.fixture
def installed(tmp_path):
    """Two distributions; one is right, the other claims schemes that it should not."""
    install(
        tmp_path,
        "first-example",
        {
            "example": "first_example:from_url",
            "both": "first_example:from_url",
            "absent": "first_example:absent",
            "text": "first_example:__name__",
        },
        first_example=EXAMPLE,
    )
    install(
        tmp_path,
        "second-example",
        {
            "both": "second_example:from_url",
            "redis": "second_example:from_url",
            "broken": "second_broken:from_url",
            "driverless": "second_driverless:from_url",
            "none": "second_example:none",
            "nonsense": "no module",
        },
        second_example=EXAMPLE + "\n    def none(url, retention):\n        return None\n",
        second_broken="raise RuntimeError('out of luck')",
        second_driverless="import a_driver_that_nobody_has",
    )
    return tmp_path


# (URL, what is printed: the broker's class or parts of the error). Add a row, not a test.
INSTALLED = [
    ("example://u:secret@h?x=y", ["MemoryBroker"]),
    ("memory:", ["MemoryBroker"]),
    ("both:", ["the scheme 'both' is claimed by", FIRST, SECOND, "uninstall"]),
    ("redis://u:secret@h", ["'redis' is claimed by heliograph itself,", SECOND]),
    ("absent:", ["first-example 1.2", "first_example:absent", "AttributeError"]),
    ("text:", ["first-example 1.2", "is 'first_example', which cannot be called"]),
    ("broken:", ["second-example 1.2", "cannot be imported: RuntimeError: out of luck"]),
    (
        "driverless://u:secret@h",
        ["No module named 'a_driver_that_nobody_has'; install what it needs"],
    ),
    ("none://u:secret@h", ["second_example:none) is None, which lacks resource"]),
    ("nonsense:", ["second-example 1.2, no module) cannot be imported"]),
    (
        "other:",
        ["no broker for 'other:'", "other packages provide absent:, both:, broken:"],
    ),
]


@pytest.mark.parametrize(("url", "words"), INSTALLED)
def test_installed(installed, url, words):
    """A distribution needs no code in the application; a mistake in it names it."""
    said = run(installed, OPEN, url)

    for word in words:
        assert word in said
    assert "secret" not in said


def test_registered_and_installed(installed):
    """An application does not silently replace the broker of a distribution."""
    said = run(
        installed,
        """
        from heliograph import ConfigError
        from heliograph.brokers import register_broker
        try:
            register_broker("example", print)
        except ConfigError as error:
            print(error)
        """,
    )

    assert f"it is claimed by {FIRST}; choose another scheme" in said


def test_only_what_is_used_is_imported(installed):
    """Neither the modules of other schemes nor a driver."""
    said = run(
        installed,
        """
        import json
        from heliograph.brokers import check_url
        for url in ("example:", "memory:"):
            check_url(url)
            modules = ("first_example", "second_example", "sqlite3", "redis")
            print(json.dumps([name for name in modules if name in sys.modules]))
        """,
    )

    assert [json.loads(line) for line in said.splitlines()] == [["first_example"]] * 2


def test_a_driver_that_is_missing():
    """The message says which extra to install."""
    program = """
        sys.modules["redis"] = None
        from heliograph import ConfigError
        from heliograph.brokers import open_broker
        try:
            open_broker("redis://u:secret@h")
        except ConfigError as error:
            print(error)
    """

    said = run("", program)

    assert "pip install 'heliograph[redis]'" in said
    assert "secret" not in said


ON_ASGI = """
    import asyncio
    from heliograph.asgi import EventStreams

    async def main():
        async with EventStreams("example:") as streams, streams.subscribe("news") as events:
            await streams.publish("hello", channel="news")
            async for event in events:
                print(event.data)
                return

    asyncio.run(main())
"""

ON_FLASK = """
    from flask import Flask
    from heliograph.flask import SSE

    app = Flask("app")
    app.config["SSE_URL"] = "example:"
    sse = SSE(app, url_prefix="/stream")
    response = app.test_client().get("/stream?channel=news")
    blocks = iter(response.response)
    text = next(blocks)
    sse.publish("hello", channel="news")
    while b"data: hello" not in text:
        text += next(blocks)
    response.close()
    print("hello")
"""


@pytest.mark.parametrize("program", [ON_ASGI, ON_FLASK], ids=["asgi", "flask"])
def test_streams_of_an_installed_broker(installed, program):
    """Publishing and streaming work as with the brokers of Heliograph."""
    assert run(installed, program) == "hello\n"
