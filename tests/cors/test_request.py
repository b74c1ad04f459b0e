"""What a request says to CORS is read from what a server hands over."""

import pytest

from heliograph.cors import CorsRequest
from heliograph.cors.request import request_from_environ, request_from_headers

A = "https://a.example"

# (fields that the client sent, what is read). Add a row, not a test.
REQUESTS = [
    pytest.param([], {}, id="nothing"),
    pytest.param([("host", "h:1"), ("origin", A)], {"host": "h:1", "origin": A}, id="actual"),
    pytest.param(
        [("access-control-request-method", "PUT"),
         ("access-control-request-headers", "x-a,x-b"),
         ("access-control-request-private-network", "true")],
        {"request_method": "PUT", "request_headers": "x-a,x-b", "request_private_network": "true"},
        id="preflight",
    ),
    pytest.param([("cookie", "a=b"), ("x-origin", A), ("origins", A)], {}, id="other-fields"),
    pytest.param([("origin", "\xff\x1b")], {"origin": "\xff\x1b"}, id="latin-1"),
    pytest.param([("origin", "")], {"origin": ""}, id="empty-is-not-missing"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "read"), REQUESTS)
def test_both_readers(fields, read):
    """WSGI and ASGI give the same request."""
    environ = {"HTTP_" + name.upper().replace("-", "_"): text for name, text in fields}
    headers = [(name.encode(), text.encode("latin-1")) for name, text in fields]
    wanted = CorsRequest("PUT", "/x", **read)

    assert request_from_environ("PUT", "/x", environ) == wanted
    assert request_from_headers("PUT", "/x", headers) == wanted


def test_a_field_that_comes_twice():
    """Several fields of one name are one list (RFC 9110 section 5.3)."""
    headers = [(b"origin", A.encode()), (b"host", b"h"), (b"origin", b"null")]

    assert request_from_headers("GET", "/", headers).origin == f"{A},null"


@pytest.mark.parametrize(
    ("method", "origin", "request_method", "is_preflight"),
    [
        ("OPTIONS", A, "PUT", True),
        ("OPTIONS", "", "", True),
        ("OPTIONS", A, None, False),
        ("OPTIONS", None, "PUT", False),
        ("GET", A, "PUT", False),
        ("options", A, "PUT", False),
    ],
)
def test_preflights(method, origin, request_method, is_preflight):
    """A preflight has the method and both fields; methods are case-sensitive."""
    request = CorsRequest(method, origin=origin, request_method=request_method)

    assert request.is_preflight is is_preflight
