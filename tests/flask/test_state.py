"""What the extension holds of an application: settings, folder, hub, JSON."""

import datetime
import json
import os
import stat
import subprocess
import sys
import textwrap
import uuid

import pytest
from flask.json.provider import JSONProvider

from flask import Flask
from heliograph import (
    BrokerUnavailableError,
    ConfigError,
    InvalidFieldError,
)
from heliograph.flask import SSE
from heliograph.flask import sse as module_sse
from servers import unmeasured

DATA = [
    ("text", "text"),
    ("", ""),
    (None, "null"),
    (5, "5"),
    ([1, "é"], '[1, "\\u00e9"]'),
    ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
    (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (datetime.date(2020, 1, 2), '"Thu, 02 Jan 2020 00:00:00 GMT"'),
]


@pytest.mark.parametrize(("data", "sent"), DATA)
def test_data(app, stream, data, sent):
    """A str as it is, anything else as Flask's JSON."""
    reader = stream()

    app.sse.publish(data)

    assert reader.wait(1)[0].data == sent


def test_json_provider_of_the_application(app, stream):
    """JSON is what the application says it is."""

    class Shouting(JSONProvider):
        def dumps(self, obj, **kwargs):
            return json.dumps(obj).upper()

        def loads(self, s, **kwargs):
            return json.loads(s)

    app.json = Shouting(app)
    reader = stream()

    app.sse.publish({"a": "b"})

    assert reader.wait(1)[0].data == '{"A": "B"}'


loop = []
loop.append(loop)


@pytest.mark.parametrize(
    "data", [object(), b"x", {1, 2}, float("nan"), {"a": float("inf")}, loop, {(1, 2): 3}]
)
def test_data_that_is_no_json(app, data):
    """The error names the field; nothing is sent."""
    with pytest.raises(InvalidFieldError) as caught:
        app.sse.publish(data)

    assert caught.value.field == "data"
    assert app.sse.statistics().published == 0


def test_configured_after_registering(tmp_path):
    """What is configured before the first use counts."""
    app = Flask(__name__)
    app.register_blueprint(module_sse, url_prefix="/stream")
    app.config["SSE_URL"] = f"sqlite:///{tmp_path}/late"

    with app.app_context():
        module_sse.publish("x")

    assert (tmp_path / "late").exists()


def test_default_needs_no_preparation(tmp_path):
    """The instance folder is made when it is needed, and not before."""
    app = Flask(__name__, instance_path=str(tmp_path / "deep" / "instance"))
    extension = SSE(app)
    assert not (tmp_path / "deep").exists()

    extension.publish("x")

    assert (tmp_path / "deep" / "instance" / "heliograph.sqlite3").exists()
    app.extensions["heliograph"].hub.close()


def test_default_whatever_the_umask(tmp_path):
    """A folder that we make is not for everybody to write to: its file would be refused."""
    app = Flask(__name__, instance_path=str(tmp_path / "deep" / "er" / "instance"))

    old = os.umask(0)
    try:
        SSE(app).publish("x")
    finally:
        os.umask(old)

    assert {
        str(made.relative_to(tmp_path)): oct(stat.S_IMODE(made.stat().st_mode))
        for made in [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
        if made.is_dir()
    } == {
        "deep": "0o755",
        "deep/er": "0o755",
        "deep/er/instance": "0o775",
        "deep/er/instance/heliograph.sqlite3-bells": "0o700",
    }
    app.extensions["heliograph"].hub.close()


def test_default_in_a_folder_of_everybody(tmp_path):
    """The error says which folder it is, and where the file may be instead."""
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance").chmod(0o777)
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))

    with pytest.raises(ConfigError, match="instance/heliograph with mode 0700"):
        SSE(app).publish("x")


def test_default_where_nothing_can_be_written(tmp_path):
    """The error names the folder and what to set."""
    (tmp_path / "file").write_text("")
    app = Flask(__name__, instance_path=str(tmp_path / "file" / "instance"))

    with pytest.raises(BrokerUnavailableError, match="SSE_URL"):
        SSE(app).publish("x")


def test_forks_while_the_application_is_used(tmp_path):
    """A child inherits no lock that somebody held."""
    program = """
        import os, signal, sys, threading
        from flask import Flask
        from heliograph.flask import SSE
        sys.setswitchinterval(1e-5)
        sse = SSE()
        app = Flask("app", instance_path=sys.argv[1])
        sse.init_app(app)
        stop = threading.Event()
        def use():
            while not stop.is_set():
                sse.statistics()
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads: thread.start()
        ended = []
        for _ in range(40):
            child = os.fork()
            if not child:
                signal.alarm(30)
                sse.statistics()
                os._exit(0)
            ended.append(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads: thread.join()
        print(set(ended))
    """
    done = subprocess.run(
        # From 3.12 on Python warns a program that forks while it has threads, as this does.
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            textwrap.dedent(program),
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=50,
        env=unmeasured(),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("{0}\n", "")
