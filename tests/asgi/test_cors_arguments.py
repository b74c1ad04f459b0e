"""Wrong arguments of CORSMiddleware: one error, and the line to write instead."""

import re

import pytest
from fastapi import FastAPI
from quart import Quart

from flask import Flask
from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy
from heliograph.cors.policy import OPTIONS, unknown_option
from heliograph.documentation import page
from uvicorns import request, serving

A = "https://a.example"
POLICY = CorsPolicy(origins=A)
LINE = "CORSMiddleware takes its options in a policy; write app.add_middleware(CORSMiddleware, policy="
SEE = f"{page('migrating.md')} lists the differences from Starlette's middleware"
WRAP = "an application without add_middleware is wrapped: app = CORSMiddleware(app, CorsPolicy(…))"
STAR = "allow_headers: 'Authorization' is added, which '*' does not cover here"
HEADERS = (
    "allow_headers: 'Content-Type' is added, which Starlette's middleware always allows"
)
METHODS = "methods=['GET'] is Starlette's default; that of CorsPolicy is wider"
CHANGE = "and in that policy, change:"
NO_POLICY = f"{LINE}CorsPolicy(origins=['https://app.example']))"


async def app(scope, receive, send):
    """An application."""


# (positional arguments after the application, options, the lines of the message)
WRONG = [
    pytest.param(
        [],
        {
            "allow_origins": [A],
            "allow_credentials": True,
            "allow_methods": ["*"],
            "allow_headers": ["*"],
            "max_age": 5,
        },
        [
            (
                f"{LINE}CorsPolicy(origins=['{A}'], supports_credentials=True, methods=['*'],"
                " allow_headers=['*', 'Authorization'], max_age=5))"
            ),
            WRAP,
            "allow_origins is origins here",
            "allow_credentials is supports_credentials here",
            "allow_methods is methods here",
            STAR,
            SEE,
        ],
        id="starlettes",
    ),
    pytest.param(
        [],
        {
            "allow_origin_regex": r"https://.*\.a\.example",
            "allow_origins": A,
            "allow_headers": ["X-A"],
        },
        [
            (
                f"{LINE}CorsPolicy(origins=['{A}',"
                " re.compile('https://.*\\\\.a\\\\.example')],"
                " allow_headers=['X-A', 'Content-Type'], methods=['GET']))"
            ),
            WRAP,
            "allow_origin_regex is an expression among the origins here",
            "allow_origins is origins here",
            METHODS,
            HEADERS,
            SEE,
        ],
        id="expression",
    ),
    pytest.param(
        [],
        {"allow_origins": [f"{A}/"], "orign": A, "max_age": -1},
        [
            (
                f"{LINE}CorsPolicy(origins=['{A}/'], max_age=-1, methods=['GET'],"
                " allow_headers=['Content-Type']))"
            ),
            WRAP,
            "allow_origins is origins here",
            "orign is not a CORS option; did you mean origins?",
            METHODS,
            HEADERS,
            SEE,
            CHANGE,
            (
                f"origins: '{A}/' is not what a browser sends, and so would never match; write"
                f" '{A}'"
            ),
            (
                "max_age: -1 is not between 0 and 3162240000 seconds; write 0 to disable caching,"
                " or None for the browser's own limit"
            ),
        ],
        id="all-at-once",
    ),
    pytest.param(
        [],
        {"origins": [A], "supports_credentials": True},
        [f"{LINE}CorsPolicy(origins=['{A}'], supports_credentials=True))", WRAP],
        id="ours",
    ),
    pytest.param([], {}, [NO_POLICY, WRAP], id="none"),
    pytest.param(
        [None], {}, ["policy: None is not a CorsPolicy", NO_POLICY, WRAP], id="None"
    ),
    pytest.param(
        [CorsPolicy],
        {},
        [f"policy: {CorsPolicy!r} is not a CorsPolicy", NO_POLICY, WRAP],
        id="the-class",
    ),
    pytest.param(
        [],
        {
            "allow_origins": [A],
            "allow_origin_regex": None,
            "allow_headers": None,
            "allow_methods": ["PUT"],
        },
        [
            f"{LINE}CorsPolicy(origins=['{A}'], methods=['PUT'], allow_headers=['Content-Type']))",
            WRAP,
            "allow_origins is origins here",
            "allow_origin_regex is an expression among the origins here",
            "allow_methods is methods here",
            HEADERS,
            SEE,
        ],
        id="not-set",
    ),
    pytest.param(
        [POLICY], {"foo": 1}, [unknown_option("foo", OPTIONS)], id="unknown-beside-a-policy"
    ),
    pytest.param(
        [[A]],
        {},
        [
            f"policy: ['{A}'] is not a CorsPolicy",
            f"{LINE}CorsPolicy(origins=['{A}']))",
            WRAP,
        ],
        id="origins-as-policy",
    ),
    pytest.param(
        [{"origins": A}],
        {"max_age": 5},
        [
            f"policy: {{'origins': '{A}'}} is not a CorsPolicy",
            f"{LINE}CorsPolicy(origins=['{A}'], max_age=5))",
            WRAP,
        ],
        id="dict-as-policy",
    ),
    pytest.param(
        [POLICY],
        {"allow_credentials": True, "max_age": 5},
        [
            "allow_credentials, max_age: pass options to CorsPolicy(…), not beside it",
            "allow_credentials is supports_credentials here",
            METHODS,
            HEADERS,
            SEE,
        ],
        id="beside-a-policy",
    ),
]


@pytest.mark.parametrize(("policy", "options", "lines"), WRONG)
def test_wrong_policies(policy, options, lines):
    """The message is the line to write, what each option is called, and what to change."""
    with pytest.raises(TypeError) as caught:
        CORSMiddleware(app, *policy, **options)

    assert str(caught.value).splitlines() == lines


ORDER = (
    "is not an application; the application comes first, then the policy:"
    " CORSMiddleware(app, CorsPolicy(origins=…))"
)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([A], app, f"app: ['{A}'] {ORDER}"),
        (POLICY, app, f"app: {POLICY!r} {ORDER}"),
        (
            Flask("a"),
            POLICY,
            "app: <Flask 'a'> is not an ASGI application; use heliograph.flask.CORS",
        ),
        (
            Flask("a").wsgi_app,
            POLICY,
            (
                "app: <bound method Flask.wsgi_app of <Flask 'a'>> is not an ASGI application;"
                " use heliograph.flask.CORS"
            ),
        ),
        (None, POLICY, "app: None is not an ASGI application"),
    ],
    ids=["origins-first", "policy-first", "flask", "wsgi-app", "none"],
)
def test_wrong_applications(first, second, message):
    """Two arguments in the wrong order, or another kind of application."""
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        CORSMiddleware(first, second)


@pytest.mark.parametrize(
    "right", [app, FastAPI(), Quart("a")], ids=["function", "fastapi", "quart"]
)
def test_right_arguments(right):
    """Any callable is taken for an application."""
    CORSMiddleware(right, policy=POLICY)


def test_the_line_can_be_written():
    """It gives a policy with the same meaning, or the problems that it would have."""
    with pytest.raises(TypeError) as caught:
        CORSMiddleware(
            app, allow_origins=[A], allow_origin_regex=r"https://\w+\.b\.example"
        )
    (line,) = re.findall(r"policy=(.*)\)$", str(caught.value), re.MULTILINE)

    policy = eval(line, {"CorsPolicy": CorsPolicy, "re": re})
    assert policy.origins == (A, re.compile(r"https://\w+\.b\.example"))


async def test_what_the_log_of_a_server_says(capfd):
    """Starlette makes the middleware when it is first called: each request says it."""
    wrong = FastAPI()
    wrong.add_middleware(CORSMiddleware, allow_origins=[A])

    async with serving(wrong, lifespan="off") as port:
        answer = await request(port)

    assert answer.status == 500
    assert f"{LINE}CorsPolicy(origins=['{A}'], " in capfd.readouterr().err
