"""The response of a view, a hook or an error handler is never written to."""

import gc
import io
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import pytest
from werkzeug.datastructures import Headers

from cors_pages import EVIL, A, B, ask, granted, is_refused, preflight
from flask import Flask, Response, abort, send_file
from heliograph.flask import CORS, cross_origin
from heliograph.flask.cors_response import fields_of, with_fields

CONSTANT = Response("constant", headers={"X-Own": "own", "Vary": "Cookie"})


@lru_cache
def cached():
    return Response("cached")


class WithSlots(Response):
    __slots__ = ("__empty", "__mark")

    def __init__(self, mark):
        super().__init__("slots")
        self.__mark = mark

    def __reduce__(self):
        raise NotImplementedError

    def get_data(self, *arguments):
        return self.__mark


SLOTS = WithSlots("slots")
WITH_A_DICT = Response("dict")
WITH_A_DICT.headers = {"X-Own": "own"}

VIEWS = {
    "constant": lambda: CONSTANT,
    "cached": cached,
    "decorated": cross_origin(origins=[A, B])(lambda: CONSTANT),
    "slots": lambda: SLOTS,
    "dict": lambda: WITH_A_DICT,
    "aborted": lambda: abort(CONSTANT),
    "file": lambda: send_file(io.BytesIO(b"file"), "text/plain"),
}


@pytest.fixture
def app():
    app = Flask(__name__)
    app.testing = True
    CORS(app, origins=[A, B], resources={"/*": {}, "/one": {"origins": A}})
    for name, view in VIEWS.items():
        app.add_url_rule(f"/{name}", endpoint=name, view_func=view)
    return app


@pytest.mark.parametrize("name", VIEWS)
def test_a_response_that_is_kept(app, name):
    """Each page gets its own origin, and a stranger none, in whatever order they ask."""
    for origin, wanted in ((A, A), (B, B), (EVIL, None), (None, None), (A, A)):
        with app.test_client() as client:
            answer = client.get(f"/{name}", headers={"Origin": origin} if origin else {})
        assert answer.headers.getlist("Access-Control-Allow-Origin") == (
            [wanted] if wanted else []
        )
        varied = ", ".join(answer.headers.getlist("Vary"))
        assert varied.count("Origin") == 1, varied
    assert preflight(app, f"/{name}").status_code == 204


def test_several_pages_at_the_same_time(app):
    """Two requests that are in the view together get their own origins."""
    both = threading.Barrier(2, timeout=20)

    @app.get("/meet")
    def meet():
        both.wait()
        return CONSTANT

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            found = list(
                pool.map(lambda origin: granted(ask(app, "/meet", origin)), [A, B])
            )
            assert found == [A, B]


@pytest.mark.parametrize("hook", ["before", "after", "error"])
def test_responses_of_hooks(hook):
    """What a hook or an error handler returns is not written to either."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])
    kept = Response("kept")
    if hook == "before":
        app.before_request(lambda: kept)
    elif hook == "after":
        app.after_request(lambda response: kept)
    else:
        app.register_error_handler(404, lambda error: kept)

    assert [granted(ask(app, "/x", origin)) for origin in (A, B, EVIL)] == [A, B, None]
    assert [name for name, _ in kept.headers] == ["Content-Type", "Content-Length"]


def test_a_response_that_needs_nothing():
    """Without fields to add, the response is the very object of the view."""
    app = Flask(__name__)
    CORS(app, origins=A)
    own = Response("own", headers={"Access-Control-Allow-Origin": B})
    app.add_url_rule("/own", view_func=lambda: own)

    with app.test_request_context("/own", headers={"Origin": A}):
        assert app.full_dispatch_request() is own


def test_the_copy():
    """It has the class, the status and the body, and fields of its own."""
    original = WithSlots("mark")
    original.status_code = 418
    original.headers["access-control-expose-headers"] = "X-A"
    original.headers.add("Set-Cookie", "a=1")
    original.headers.add("Set-Cookie", "b=2")
    before = list(original.headers)
    added = (("Access-Control-Expose-Headers", "X-B"), ("Vary", "Origin"))

    copied = with_fields(original, fields_of(original), added)

    assert (type(copied), copied.status, copied.get_data()) == (
        WithSlots, "418 I'M A TEAPOT", "mark",
    )  # fmt: skip
    assert list(original.headers) == before
    assert copied.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert copied.headers.getlist("Access-Control-Expose-Headers") == ["X-B"]
    assert copied.headers["Vary"] == "Origin"


def test_fields_that_are_a_dict():
    """A dict is read as fields, and is not replaced."""
    original = Response("r")
    original.headers = fields = {"X-A": "a"}

    assert fields_of(original) == Headers({"X-A": "a"})
    assert original.headers is fields


def test_closing():
    """Functions and bodies are closed once, also those that are added when it is sent."""
    app = Flask(__name__)
    CORS(app, origins=A)
    closed = []
    made = []

    class Body:
        def __iter__(self):
            yield b"body"

        def close(self):
            closed.append("body")

    @app.get("/r")
    def view():
        response = Response(Body())
        response.call_on_close(lambda: closed.append("before"))
        made.append(response)
        return response

    @app.teardown_request
    def later(error):
        made[0].call_on_close(lambda: closed.append("after"))

    with ask(app, "/r", buffered=False) as answer:
        assert (granted(answer), answer.text) == (A, "body")
    assert closed == ["body", "before", "after"]


def test_a_refused_stream_that_is_kept():
    """Its refusal is a response of its own, and the stream is served to others still."""
    app = Flask(__name__)
    CORS(app, origins=A)
    stream = Response("data: x\n\n", mimetype="text/event-stream")
    app.add_url_rule("/s", view_func=lambda: stream)

    for _ in range(2):
        refused = ask(app, "/s", EVIL)
        assert (refused.status_code, is_refused(refused)) == (403, True)
        served = ask(app, "/s")
        assert (served.status_code, granted(served), served.text) == (200, A, "data: x\n\n")


class FailedError(Exception, Response):
    """An exception that is a response, too."""


class Frozen(Response):
    """A response that can no longer be changed."""

    def __setattr__(self, name, value):
        if name == "headers" and "headers" in vars(self):
            raise AttributeError(name)
        super().__setattr__(name, value)


class Numbers(dict, Response):
    """A response that is a dict, too."""


@pytest.mark.parametrize("kind", [FailedError, Frozen, Numbers])
def test_classes_that_cannot_be_copied(kind):
    """The response is served, with its fields."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])
    response = kind.__new__(kind)
    Response.__init__(response, "hello", headers={"Vary": "Cookie"})
    app.add_url_rule("/", view_func=lambda: response)
    answer = ask(app)

    assert (answer.status_code, answer.text, granted(answer)) == (200, "hello", A)
    assert answer.headers.getlist("Vary") == ["Cookie", "Origin"]


def test_what_is_tied_to_the_life_of_a_response(tmp_path):
    """It is alive until the body has been sent; afterwards nothing keeps it, or its class."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])
    file = tmp_path / "file"
    classes = weakref.WeakSet()

    @app.get("/")
    def view():
        class Own(Response):
            """A class for each response, as some extensions have."""

        file.write_text("hello")
        response = Own(file.read_text() for _ in range(1))
        weakref.finalize(response, file.unlink)
        classes.add(Own)
        return response

    answer = ask(app)
    assert (answer.text, granted(answer)) == ("hello", A)
    del answer
    gc.collect()
    assert not file.exists()
    assert not list(classes)
