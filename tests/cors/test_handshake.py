"""Which pages may open a WebSocket."""

import pytest

from heliograph.cors import CorsPolicy, CorsRequest
from heliograph.cors.handshake import HandshakePolicy, is_own_page

A = "https://a.example"
EVIL = "https://evil.example"


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "is_own"),
    [
        ("ws", "api.example", "http://api.example", True),
        ("ws", "api.example", "https://api.example", True),
        ("ws", "API.example", "https://api.example", True),
        ("wss", "api.example", "https://api.example", True),
        ("wss", "api.example:443", "https://api.example", True),
        ("ws", "api.example:443", "https://api.example", True),
        ("ws", "api.example:80", "http://api.example", True),
        ("ws", "[::1]:8000", "http://[::1]:8000", True),
        ("wss", "api.example", "http://api.example", False),
        ("ws", "api.example:443", "http://api.example", False),
        ("ws", "api.example", "https://api.example:8443", False),
        ("ws", None, "https://", False),
        ("ws", "", "https://", False),
        ("ws", "api.example", "ftp://api.example", False),
        ("ws", "api.example", "https://evil.example", False),
        ("ws", "api.example", None, False),
    ],
)
def test_own_pages(scheme, host, origin, is_own):
    """A page is the server's by name and port; under TLS, only with TLS."""
    assert is_own_page(CorsRequest("GET", host=host, origin=origin), scheme) is is_own


OPEN = {"origins": ["*", "null", A, "https://*.b.example", r"https://.*\.com"]}
DANGER = {
    "origins": "*",
    "supports_credentials": True,
    "dangerously_allow_any_origin_with_credentials": True,
}
NAME_IT = "with credentials (Cookie or Authorization); name the page's origin in origins"
SOME = {"origins": [A, "https://b.example"]}

# (options, origin, whether it has credentials, a part of the reason or None)
HANDSHAKES = [
    pytest.param(SOME, A, False, None, id="allowed"),
    pytest.param(SOME, A, True, None, id="allowed-with-credentials"),
    pytest.param(SOME, None, True, None, id="not-from-a-browser"),
    pytest.param(SOME, "https://own.example", True, None, id="own-page"),
    pytest.param(SOME, EVIL, False, f"the policy's origins do not allow '{EVIL}'", id="refused"),
    pytest.param(SOME, "null", False, "origins do not allow 'null'", id="null"),
    pytest.param(SOME, f"{A},{A}", False, "is not an origin", id="two-origins"),
    pytest.param(OPEN, EVIL, False, None, id="star"),
    pytest.param(OPEN, EVIL, True, f"the policy's origins do not allow '{EVIL}' {NAME_IT}", id="star-has-no-credentials"),
    pytest.param(OPEN, "null", True, "'null' with credentials (Cookie or Authorization)", id="null-has-no-credentials"),
    pytest.param(OPEN, "https://x.com", True, NAME_IT, id="loose-expression"),
    pytest.param(OPEN, A, True, None, id="named-beside-star"),
    pytest.param(OPEN, "https://x.b.example", True, None, id="pattern-beside-star"),
    pytest.param(OPEN, "no", True, "'no' is not an origin", id="malformed-with-credentials"),
    pytest.param({"origins": ["*", EVIL]}, EVIL, True, None, id="the-message-was-followed"),
    pytest.param({"origins": "*"}, EVIL, False, None, id="only-star"),
    pytest.param({"origins": "*"}, EVIL, True, f"no origins of the policy allow {NAME_IT[5:]}", id="no-rule-is-left"),
    pytest.param(DANGER, EVIL, True, None, id="danger"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "origin", "has_credentials", "words"), HANDSHAKES)
async def test_handshakes(options, origin, has_credentials, words):
    """The policy's origins, and only the trustworthy ones of them with credentials."""
    request = CorsRequest("GET", host="own.example", origin=origin)
    reason = await HandshakePolicy(CorsPolicy(**options)).refusal(
        request, scheme="ws", has_credentials=has_credentials
    )

    assert (reason is None) == (words is None)
    assert (reason or "").endswith(words or "")


async def test_functions():
    """A function is called with credentials and without, and may be async."""
    seen = []

    async def tenant(origin, request):
        seen.append(origin)
        return origin == A

    policy = HandshakePolicy(CorsPolicy(origins=["*", tenant]))
    own = CorsRequest("GET", origin=A)
    assert await policy.refusal(own, scheme="ws", has_credentials=True) is None
    evil = CorsRequest("GET", origin=EVIL)
    assert await policy.refusal(evil, scheme="ws", has_credentials=True) is not None
    assert seen == [A, EVIL]
