"""What a policy says to a request, by the rules of the Fetch standard."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heliograph.cors import CorsPolicy, CorsRequest, decide, decide_async, missing_vary
from heliograph.cors.origins import is_origin

A = "https://a.example"
B = "https://b.example"
EVIL = "https://evil.example"

ORIGIN = "Access-Control-Allow-Origin"
CREDENTIALS = "Access-Control-Allow-Credentials"
METHODS = "Access-Control-Allow-Methods"
HEADERS = "Access-Control-Allow-Headers"
EXPOSE = "Access-Control-Expose-Headers"
MAX_AGE = "Access-Control-Max-Age"
NETWORK = "Access-Control-Allow-Private-Network"
PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


def get(origin=None, **options):
    return CorsRequest(options.pop("method", "GET"), origin=origin, **options)


def preflight(origin=A, method="PUT", headers=None, network=None):
    return CorsRequest(
        "OPTIONS",
        origin=origin,
        request_method=method,
        request_headers=headers,
        request_private_network=network,
    )


def answer(request, **options):
    decision = decide(CorsPolicy(**{"origins": [A, B], **options}), request)
    names = [name for name, _ in decision.headers]
    assert len(names) == len(set(names))
    return decision, dict(decision.headers)


# (options, request, headers). Add a row, not a test.
ACTUAL = [
    pytest.param({}, get(A), {ORIGIN: A, "Vary": "Origin"}, id="listed"),
    pytest.param({}, get(), {"Vary": "Origin"}, id="nobody"),
    pytest.param({"origins": A}, get(A), {ORIGIN: A}, id="the-only-one-is-the-same-for-all"),
    pytest.param({"origins": A}, get(), {ORIGIN: A}, id="the-only-one-is-sent-to-nobody"),
    pytest.param(
        {"origins": A, "always_send": False}, get(), {"Vary": "Origin"}, id="not-sent-to-nobody"
    ),
    pytest.param({"origins": "*"}, get(A), {ORIGIN: "*"}, id="star"),
    pytest.param({"origins": "*"}, get(), {ORIGIN: "*"}, id="star-for-nobody"),
    pytest.param({"origins": "*"}, get("null"), {ORIGIN: "*"}, id="star-covers-null"),
    pytest.param({"origins": "*"}, get("junk\x1b"), {ORIGIN: "*"}, id="star-covers-junk"),
    pytest.param(
        {"origins": "*", "send_wildcard": False}, get(A), {ORIGIN: A, "Vary": "Origin"}, id="echo"
    ),
    pytest.param(
        {"origins": "*", "send_wildcard": False}, get(), {ORIGIN: "*", "Vary": "Origin"}, id="echo-nobody"
    ),
    pytest.param(
        {"origins": "*", "send_wildcard": False}, get("junk\x1b"), {ORIGIN: "*", "Vary": "Origin"}, id="junk-is-no-echo"
    ),
    pytest.param(
        {"origins": "*", "send_wildcard": False, "always_send": False}, get(), {"Vary": "Origin"}, id="echo-not-to-nobody"
    ),
    pytest.param({"origins": [A, "null"]}, get("null"), {ORIGIN: "null", "Vary": "Origin"}, id="null-is-named"),
    pytest.param({"origins": "null"}, get(), {"Vary": "Origin"}, id="null-is-not-for-all"),
    pytest.param(
        {"supports_credentials": True}, get(A), {ORIGIN: A, CREDENTIALS: "true", "Vary": "Origin"}, id="credentials"
    ),
    pytest.param(
        {"supports_credentials": True}, get(), {"Vary": "Origin"}, id="no-credentials-for-nobody"
    ),
    pytest.param(
        {"origins": "*", "supports_credentials": True, "dangerously_allow_any_origin_with_credentials": True},
        get(A), {ORIGIN: A, CREDENTIALS: "true", "Vary": "Origin"}, id="danger-is-an-echo",
    ),
    pytest.param(
        {"origins": "*", "supports_credentials": True, "dangerously_allow_any_origin_with_credentials": True},
        get(), {"Vary": "Origin"}, id="danger-is-not-for-nobody",
    ),
    pytest.param(
        {"expose_headers": ["X-A", "X-B"]}, get(A), {ORIGIN: A, EXPOSE: "X-A, X-B", "Vary": "Origin"}, id="exposed"
    ),
    pytest.param({"vary_header": False}, get(A), {ORIGIN: A}, id="no-vary"),
    pytest.param({"vary_header": False}, get(), {}, id="no-vary-for-nobody"),
    pytest.param({"max_age": 5, "methods": "*"}, get(A), {ORIGIN: A, "Vary": "Origin"}, id="preflight-only"),
    pytest.param({}, get(A, method="OPTIONS"), {ORIGIN: A, "Vary": "Origin"}, id="options-is-no-preflight"),
    pytest.param(
        {}, CorsRequest("OPTIONS", request_method="PUT"), {"Vary": "Origin"}, id="no-preflight-of-nobody"
    ),
    pytest.param({}, get(A, request_method="PUT"), {ORIGIN: A, "Vary": "Origin"}, id="get-is-no-preflight"),
    pytest.param(
        {"allow_private_network": True}, get(A, request_private_network="true"),
        {ORIGIN: A, "Vary": "Origin"}, id="private-network-is-asked-for-in-preflights",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "request_", "headers"), ACTUAL)
def test_granted(options, request_, headers):
    """An ordinary request gets exactly these headers, and the application answers."""
    decision, found = answer(request_, **options)

    assert found == headers
    assert (decision.status, decision.preflight, decision.reason) == (None, False, None)


LEAVE = {
    ORIGIN: A,
    METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Vary": PREFLIGHT_VARY,
}

PREFLIGHTS = [
    pytest.param({}, preflight(), LEAVE, id="method"),
    pytest.param({}, preflight(headers=""), LEAVE, id="empty-list"),
    pytest.param({}, preflight(headers="x-a,content-type"), LEAVE | {HEADERS: "content-type, x-a"}, id="star-is-an-echo"),
    pytest.param({}, preflight(headers="x-a"), LEAVE | {HEADERS: "x-a"}, id="one"),
    pytest.param({}, preflight(headers=" x-a ,\t,, x-a,x-b"), LEAVE | {HEADERS: "x-a, x-b"}, id="split-by-a-proxy"),
    pytest.param({"allow_headers": ["X-A"]}, preflight(headers="x-a"), LEAVE | {HEADERS: "x-a"}, id="case"),
    pytest.param({"allow_headers": ["X-Co-*"]}, preflight(headers="x-co-1"), LEAVE | {HEADERS: "x-co-1"}, id="pattern"),
    pytest.param({"allow_headers": [re.compile("X-[AB]")]}, preflight(headers="x-b"), LEAVE | {HEADERS: "x-b"}, id="expression"),
    pytest.param({"allow_headers": [r"x-\w"]}, preflight(headers="X-B"), LEAVE | {HEADERS: "X-B"}, id="expression-as-text"),
    pytest.param({"allow_headers": ["*", "Authorization"]}, preflight(headers="authorization,x-a"),
                 LEAVE | {HEADERS: "authorization, x-a"}, id="authorization-is-named"),
    pytest.param({"allow_headers": ["Authorization"]}, preflight(headers="accept,authorization,cache-control,last-event-id"),
                 LEAVE | {HEADERS: "accept, authorization, cache-control, last-event-id"}, id="streams-resume"),
    pytest.param({"methods": ["PUT"]}, preflight(), LEAVE | {METHODS: "PUT"}, id="listed-method"),
    pytest.param({"methods": "*"}, preflight(method="PURGE"), LEAVE | {METHODS: "PURGE"}, id="any-method-is-an-echo"),
    pytest.param({"methods": ["*", "PUT"]}, preflight(method="x"), LEAVE | {METHODS: "x"}, id="star-among-methods"),
    pytest.param({"max_age": 0}, preflight(), LEAVE | {MAX_AGE: "0"}, id="max-age-0"),
    pytest.param({"max_age": 600}, preflight(), LEAVE | {MAX_AGE: "600"}, id="max-age"),
    pytest.param({"expose_headers": ["X-A"]}, preflight(), LEAVE, id="exposed-is-not-said"),
    pytest.param({"supports_credentials": True}, preflight(headers="x-a"),
                 LEAVE | {CREDENTIALS: "true", HEADERS: "x-a"}, id="credentials"),
    pytest.param({"origins": "*"}, preflight(), LEAVE | {ORIGIN: "*"}, id="star"),
    pytest.param({"origins": A}, preflight(), LEAVE, id="vary-for-the-only-one"),
    pytest.param({}, preflight(network="true"), LEAVE, id="private-network-not-by-default"),
    pytest.param({"allow_private_network": True}, preflight(network="true"),
                 LEAVE | {NETWORK: "true", "Vary": f"{PREFLIGHT_VARY}, Access-Control-Request-Private-Network"}, id="private-network"),
    pytest.param({"allow_private_network": True}, preflight(network="1"),
                 LEAVE | {"Vary": f"{PREFLIGHT_VARY}, Access-Control-Request-Private-Network"}, id="private-network-not-asked"),
    pytest.param({"vary_header": False}, preflight(), {n: v for n, v in LEAVE.items() if n != "Vary"}, id="no-vary"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "request_", "headers"), PREFLIGHTS)
def test_preflight_granted(options, request_, headers):
    """A granted preflight gets exactly these headers, and 204."""
    decision, found = answer(request_, **options)

    assert found == headers
    assert (decision.status, decision.preflight, decision.reason) == (204, True, None)


REFUSED_PREFLIGHTS = [
    pytest.param({}, preflight(EVIL), "'https://evil.example'", id="origin"),
    pytest.param({}, preflight("null"), "'null'", id="null"),
    pytest.param({"methods": ["PUT"]}, preflight(EVIL, "PATCH", "x-a"), "'https://evil.example'", id="origin-and-more"),
    pytest.param({"methods": ["GET", "POST"]}, preflight(method="GET, POST"), "'GET, POST' is not a method", id="all-methods"),
    pytest.param({"methods": ["PUT"]}, preflight(method=""), "'' is not a method", id="empty-method"),
    pytest.param({"methods": "*"}, preflight(method="A\r\nB"), "'A\\r\\nB' is not a method", id="method-is-no-token"),
    pytest.param({"methods": "*"}, preflight(method=""), "'' is not a method", id="empty-method-for-any"),
    pytest.param({}, preflight(headers="x a"), "is not a list", id="no-token"),
    pytest.param({}, preflight(headers="x-a\r\nSet-Cookie: a=b"), "is not a list", id="line-end"),
    pytest.param({}, preflight(headers="x-\xe4"), "is not a list", id="not-ascii"),
    pytest.param({}, preflight(headers=",".join(f"x-{n}" for n in range(257))), "too long", id="many-names"),
    pytest.param({}, preflight(headers="," * 60_000), "too long", id="60000-commas"),
    pytest.param({}, preflight(headers="x" * 10_000_000), "too long", id="ten-megabytes"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "request_", "words"), REFUSED_PREFLIGHTS)
def test_preflight_refused(options, request_, words):
    """A preflight of a forbidden origin, or that no browser sends, gets 403 and Vary."""
    decision, found = answer(request_, **options)

    assert found == {"Vary": PREFLIGHT_VARY}
    assert (decision.status, decision.preflight) == (403, True)
    assert words in decision.reason


NAMED = {ORIGIN: A, "Vary": PREFLIGHT_VARY}

# (options, request, status, headers, reason). Add a row, not a test.
NAMING = [
    pytest.param({"methods": ["PUT"]}, preflight(method="put"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's methods do not allow 'put' (methods are case-sensitive: the page must write 'PUT')", id="method-case"),
    pytest.param({"methods": ["PUT"]}, preflight(method="PU"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's methods do not allow 'PU'", id="part-of-a-method"),
    pytest.param({"methods": ["PUT"]}, preflight(method="POST"), 403, NAMED | {METHODS: "PUT"},
                 "the policy's methods do not allow 'POST'", id="safelisted-method"),
    pytest.param({"methods": ["PUT"]}, preflight(method="POST", headers="x-a"), 403, NAMED | {METHODS: "PUT", HEADERS: "x-a"},
                 "the policy's methods do not allow 'POST'", id="safelisted-method-and-header"),
    pytest.param({"methods": ["PUT"], "allow_headers": "x-a"}, preflight(method="POST", headers="x-a,x-b"), 200, NAMED | {METHODS: "PUT", HEADERS: "x-a"},
                 "the policy's methods do not allow 'POST'; the policy's allow_headers do not allow 'x-b'", id="safelisted-method-and-forbidden-header"),
    pytest.param({}, preflight(headers="authorization"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's allow_headers do not allow 'authorization', which '*' does not cover: name 'Authorization', too", id="authorization"),
    pytest.param({}, preflight(headers="x-a,AUTHORIZATION"), 200, NAMED | {METHODS: "PUT", HEADERS: "x-a"},
                 "the policy's allow_headers do not allow 'AUTHORIZATION', which '*' does not cover: name 'Authorization', too", id="authorization-in-capitals"),
    pytest.param({"allow_headers": ["x-a"]}, preflight(headers="x-a,x-b"), 200, NAMED | {METHODS: "PUT", HEADERS: "x-a"},
                 "the policy's allow_headers do not allow 'x-b'", id="one-of-two"),
    pytest.param({"allow_headers": []}, preflight(headers="x-b,x-a"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's allow_headers do not allow 'x-a', 'x-b'", id="both"),
    pytest.param({"allow_headers": []}, preflight(headers="a,b,c,d,e,f,g"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's allow_headers do not allow 'a', 'b', 'c', 'd', 'e' and 2 more", id="many"),
    pytest.param({"allow_headers": ["x-[ab]"]}, preflight(headers="x-ab"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's allow_headers do not allow 'x-ab'", id="whole-name"),
    pytest.param({"methods": "PUT", "allow_headers": "x-a"}, preflight(method="PATCH", headers="x-a,x-b"), 200, NAMED | {METHODS: "PUT", HEADERS: "x-a"},
                 "the policy's methods do not allow 'PATCH'; the policy's allow_headers do not allow 'x-b'", id="method-and-header"),
    pytest.param({"supports_credentials": True, "max_age": 600, "methods": "PUT"}, preflight(method="PATCH"), 200, NAMED | {METHODS: "PUT", CREDENTIALS: "true"},
                 "the policy's methods do not allow 'PATCH'", id="no-max-age"),
    pytest.param({"origins": "*", "methods": "PUT"}, preflight(method="PATCH"), 200, NAMED | {METHODS: "PUT", ORIGIN: "*"},
                 "the policy's methods do not allow 'PATCH'", id="star"),
    pytest.param({"methods": "*", "allow_headers": []}, preflight(headers="x-a"), 200, NAMED | {METHODS: "PUT"},
                 "the policy's allow_headers do not allow 'x-a'", id="any-method"),
    pytest.param({"allow_private_network": True, "methods": "PUT"}, preflight(method="PATCH", network="true"), 200,
                 NAMED | {METHODS: "PUT", "Vary": f"{PREFLIGHT_VARY}, Access-Control-Request-Private-Network"},
                 "the policy's methods do not allow 'PATCH'", id="no-private-network"),
    pytest.param({"methods": []}, preflight(), 403, NAMED | {METHODS: ""},
                 "the policy's methods do not allow 'PUT'", id="no-methods"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "request_", "status", "headers", "reason"), NAMING)
def test_what_is_forbidden_is_named(options, request_, status, headers, reason):
    """A refused preflight of an allowed origin gets what makes the browser name the cause."""
    decision, found = answer(request_, **options)

    assert found == headers
    assert (decision.status, decision.preflight) == (status, True)
    assert decision.reason == reason


# Origins by which attackers have got in, somewhere; each with a rule of ours that is near.
ATTACKS = [
    ("prefix", "https://a.example.evil.example", [A, r"https://.*\.a\.example", "https://*.a.example"]),
    ("suffix", "https://evila.example", [A, "https://*.a.example", r"https://(\w+\.)?a\.example"]),
    ("no-dot", "https://aXexample".lower(), [A, r"https://a\.example"]),
    ("scheme", "http://a.example", [A, "https://*.a.example", r"https://.*\.?a\.example"]),
    ("port", "https://a.example:8443", [A, "https://*.a.example", "https://a.example"]),
    ("default-port", "https://a.example:443", [A, "https://a.example:*", r"https://a\.example(:\d+)?"]),
    ("user", "https://a.example@evil.example", [A, r"https://a\.example.*", r".*"]),
    ("user-behind", "https://evil.example@a.example", [A, r".*a\.example"]),
    ("path", "https://evil.example/a.example", [A, r".*a\.example"]),
    ("query", "https://evil.example?a.example", [A, r".*a\.example"]),
    ("fragment", "https://evil.example#a.example", [A, r".*a\.example"]),
    ("backslash", "https://evil.example\\.a.example", [A, r".*\.a\.example"]),
    ("null", "null", [A, r".*", r"(null|https://x\.example)"]),
    ("null-case", "NULL", [[A, "null"], r".*"]),
    ("case", "https://A.example", [A, r"(?i)https://a\.example"]),
    ("list", f"{A},{EVIL}", [A, r".*"]),
    ("list-spaced", f"{EVIL}, {A}", [A, r".*a\.example"]),
    ("two-values", f"{A} {EVIL}", [A, r".*"]),
    ("line-end", f"{A}\r\nSet-Cookie: a=b", [A, r".*", re.compile(".*", re.DOTALL)]),
    ("line-end-before", f"{EVIL}\n{A}", [A, re.compile(r"^https://a\.example$", re.MULTILINE)]),
    ("line-end-behind", f"{A}\n", [A, r"https://a\.example$"]),
    ("nul", f"{A}\0.evil.example", [A, r".*"]),
    ("non-ascii", "https://\u0430.example", [A, r".*"]),
    ("latin-1", "https://a.example\xad", [A, r".*"]),
    ("full-stop", "https://a\u3002example", [A, r".*"]),
    ("special", "https://a.example!.evil.example", [A, r"https://a\.example\W.*"]),
    ("brace", "https://a.example{.evil.example", [A, r"https://a\.example\W.*"]),
    ("underscore", "https://a.example_.evil.example", [A, r"https://a\.example(:\d+)?", "https://a.example:*"]),
    ("space-before", f" {A}", [A, r"\s*https://a\.example"]),
    ("empty", "", [A, r".*", r"(https://x\.example)?"]),
    ("star", "*", [A, r".*"]),
    ("long", "https://" + "a" * 1000 + ".a.example", [A, r"https://.*\.a\.example", r".*"]),
    ("megabytes", "https://" + "a" * 10_000_000, [A, r".*"]),
    ("two-labels", "https://x.y.a.example", ["https://*.a.example"]),
    ("no-label", "https://.a.example", ["https://*.a.example"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "origins"),
    [pytest.param(o, r, id=f"{name}-{n}") for name, o, rules in ATTACKS for n, r in enumerate(rules)],
)  # fmt: skip
@pytest.mark.parametrize("request_", [get, preflight])
def test_attacks(origin, origins, request_):
    """
    No attack is granted anything, and functions never see one.

    ``.*`` is another way to write ``*``, which without credentials covers everything.
    """
    seen = []
    policy = CorsPolicy(
        origins=[*([origins] if not isinstance(origins, list) else origins), lambda o, _: seen.append(o) or False],
        supports_credentials=True,
        dangerously_allow_any_origin_with_credentials=True,
    )  # fmt: skip
    decision = decide(policy, request_(origin))

    assert {name for name, _ in decision.headers} == {"Vary"}
    assert decision.status == 403
    assert decision.reason.isascii()
    assert decision.reason.isprintable()
    assert len(decision.reason) < 300
    assert all(is_origin(text) for text in seen)


def test_reasons_cannot_forge_a_log():
    """What a client sent is shown escaped and shortened."""
    decision = decide(CorsPolicy(origins=A), get("\x1b[2J\r\n2026-01-01 fake" + "x" * 100))

    assert decision.reason == (
        r"'\x1b[2J\r\n2026-01-01 fake" + "x" * 59 + "' and 41 more is not an origin"
    )


def test_catastrophic_expression_on_a_long_origin():
    """A catastrophic expression is refused; a safe one ends on a long origin."""
    with pytest.raises(ValueError, match="exponential"):
        CorsPolicy(origins=r"https://(a+)+\.example")
    policy = CorsPolicy(origins=r"https://([a-z]+\.)*a\.example")

    assert decide(policy, get("https://" + "a." * 140)).status == 403


async def test_functions():
    """Functions receive valid origins only, and the request."""
    seen = []

    async def tenant(origin, request):
        seen.append((origin, request.path, request.host, request.is_preflight))
        return origin.endswith(".tenant.example")

    policy = CorsPolicy(origins=[A, tenant], supports_credentials=True)
    good = "https://x.tenant.example"

    assert (await decide_async(policy, get())).reason is None
    assert (await decide_async(policy, get(A))).reason is None
    assert (await decide_async(policy, get("junk"))).status == 403
    assert seen == []
    decision = await decide_async(policy, get(good, path="/x", host="h"))
    assert dict(decision.headers) == {ORIGIN: good, CREDENTIALS: "true", "Vary": "Origin"}
    assert (await decide_async(policy, preflight(EVIL))).status == 403
    assert seen == [(good, "/x", "h", False), (EVIL, "/", None, True)]
    with pytest.raises(TypeError, match="is async"):
        decide(policy, get(good))
    assert decide(policy, get(A)).reason is None


def test_a_function_that_fails():
    """The error of a function is raised."""

    def fail(origin, request):
        raise LookupError("no tenants today")

    with pytest.raises(LookupError, match="no tenants"):
        decide(CorsPolicy(origins=fail), get(A))


@pytest.mark.parametrize(
    ("present", "wanted", "missing"),
    [
        ([], "Origin", "Origin"),
        (["Accept-Encoding"], "Origin", "Origin"),
        (["Origin"], "Origin", ""),
        (["Accept-Encoding, origin"], "Origin", ""),
        (["Accept-Encoding", "Cookie,ORIGIN"], "Origin", ""),
        (["*"], "Origin", ""),
        (["Cookie, *"], "Origin", ""),
        (
            ["Origin"],
            "Origin, Access-Control-Request-Method",
            "Access-Control-Request-Method",
        ),
        ([""], "Origin", "Origin"),
    ],
)
def test_vary(present, wanted, missing):
    """Only missing names are returned."""
    assert missing_vary(present, wanted) == missing


# The property: an oracle that was written from the text of the standard, and shares
# nothing with the code that it judges.


def cors_check(origin, credentials_mode, headers):
    """Return what the browser decides: Fetch, "CORS check"."""
    value = headers.get(ORIGIN)
    if value is None:
        return False
    if credentials_mode != "include" and value == "*":
        return True
    if value != origin:
        return False
    if credentials_mode != "include":
        return True
    return headers.get(CREDENTIALS) == "true"


def preflight_check(request, credentials_mode, decision):
    """Return whether a browser goes on to the request itself: Fetch, "CORS-preflight fetch"."""
    headers = dict(decision.headers)
    if not cors_check(request.origin, credentials_mode, headers):
        return False
    if not 200 <= decision.status <= 299:
        return False
    wildcard = {"*"} if credentials_mode != "include" else set()
    # "If methods is null and request's use-CORS-preflight flag is set"; it may be set.
    methods = set(headers.get(METHODS, request.request_method).split(", "))
    if (
        request.request_method not in methods | {"GET", "HEAD", "POST"}
        and not methods & wildcard
    ):
        return False
    names = set(headers.get(HEADERS, "").lower().split(", "))
    wanted = {n.strip(" \t").lower() for n in (request.request_headers or "").split(",")}
    missing = wanted - {""} - names
    return not missing or ("authorization" not in missing and bool(names & wildcard))


def says_yes(rule, origin):
    """Return whether a rule allows an origin, by the documentation."""
    if rule == "*":
        return origin != "null"
    if "*" in rule:
        labels, wanted = origin.split("."), rule.split(".")
        return len(labels) == len(wanted) and all(
            one == other
            or (other == "https://*" and re.fullmatch("https://[a-z0-9_-]+", one))
            for one, other in zip(labels, wanted, strict=True)
        )
    if "\\" in rule:
        return origin != "null" and re.fullmatch(rule, origin) is not None
    return rule == origin


rules = st.sampled_from(
    [A, B, "null", "*", "https://*.a.example", "https://*.b.example", r"https://\w+\.c\.example", r"https?://c\.example(:\d+)?"]
)  # fmt: skip
names = st.sampled_from(["x-a", "X-B", "content-type", "authorization", "*"])
policies = st.builds(
    CorsPolicy,
    origins=st.lists(rules, min_size=1, max_size=4),
    methods=st.one_of(st.just("*"), st.lists(st.sampled_from(["GET", "PUT", "PATCH"]))),
    allow_headers=st.lists(names),
    expose_headers=st.lists(st.sampled_from(["x-a", "x-b"])),
    supports_credentials=st.booleans(),
    max_age=st.none() | st.integers(0, 100),
    send_wildcard=st.booleans(),
    always_send=st.booleans(),
    vary_header=st.booleans(),
    allow_private_network=st.booleans(),
    dangerously_allow_any_origin_with_credentials=st.just(value=True),
)
origins = st.one_of(
    st.sampled_from([A, B, EVIL, "null", "https://x.a.example", "https://x.y.a.example", "https://x.c.example", "http://c.example:1", "https://c.example", "", "*"]),
    st.text("htps:/.abcexmple*-\n ", max_size=30),
    st.text(max_size=20),
)  # fmt: skip
methods = st.sampled_from(["GET", "PUT", "put", "", "PUT, PATCH", "X"]) | st.text(
    max_size=5
)
rest = {
    "request_headers": st.none()
    | st.lists(names | st.text(max_size=5), max_size=4).map(",".join),
    "request_private_network": st.none() | st.just("true"),
}
requests = st.builds(
    CorsRequest,
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
    origin=st.none() | origins,
    request_method=st.none() | methods,
    **rest,
)
preflights = st.builds(
    CorsRequest, method=st.just("OPTIONS"), origin=origins, request_method=methods, **rest
)


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
@given(policies, requests)
@settings(max_examples=1_000, deadline=None)
def test_nobody_gets_in(policy, request_):
    """
    For every policy and request: the browser lets no page read an answer with credentials
    unless a rule allows its origin and the policy allows credentials; and the decision is
    what the browser does.
    """
    decision = decide(policy, request_)
    headers = dict(decision.headers)
    allowed = request_.origin is not None and any(
        says_yes(rule, request_.origin) for rule in policy.origins
    )

    passes = cors_check(request_.origin, "include", headers)
    assert not passes or (allowed and policy.supports_credentials)
    for anybody in (A, B, EVIL, "null", "https://x.a.example"):
        # The answer to one, given to another by a cache that ignores what it is told.
        assert not cors_check(anybody, "include", headers) or any(
            says_yes(rule, anybody) for rule in policy.origins
        )
    if CREDENTIALS in headers:
        # With credentials "*" is the name of a method or a header, and grants just that one
        # (Fetch, CORS-preflight fetch); a request may name it.
        named = f"{request_.request_method} {request_.request_headers}"
        assert "*" not in headers.values() or "*" in named
        assert headers[ORIGIN] != "*"
    if request_.origin is not None and not request_.is_preflight:
        assert cors_check(request_.origin, "omit", headers) is (decision.reason is None)
    if decision.reason is not None:
        assert not {MAX_AGE, NETWORK, EXPOSE} & set(headers)
        # An origin that is allowed may be told what else is not.
        is_told = allowed or headers.get(ORIGIN) == "*"
        assert set(headers) <= {"Vary"} or (is_told and request_.is_preflight)
    if not request_.is_preflight:
        assert not {METHODS, HEADERS, MAX_AGE, NETWORK} & set(headers)
    else:
        assert EXPOSE not in headers
    for value in headers.values():
        assert value.isprintable()


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
@given(policies, requests)
@settings(max_examples=500, deadline=None)
def test_caches_are_told(policy, request_):
    """If another origin gets another answer, ``Vary`` says so, or it would be refused anyway."""
    assume(policy.vary_header)
    decision = decide(policy, request_)
    headers = dict(decision.headers)
    for other in (None, A, B, EVIL, "null"):
        theirs = dict(decide(policy, request_._replace(origin=other)).headers)
        if theirs != headers and "Origin" not in headers.get("Vary", ""):
            # The same granted answer for everyone: whom it does not name cannot read it,
            # and would have been refused.
            assert headers[ORIGIN] == policy.compiled.for_all
            assert headers[ORIGIN] in {"*", theirs.get(ORIGIN, headers[ORIGIN])}


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
@given(policies, preflights)
@settings(max_examples=500, deadline=None)
def test_preflights_tell_the_browser_the_same(policy, request_):
    """
    A granted preflight passes the browser's checks; a refused one fails, in both modes.

    What is granted has a method and names that are allowed: browsers send no others.
    """
    decision = decide(policy, request_)
    headers = dict(decision.headers)
    mode = "include" if policy.supports_credentials else "omit"

    assert preflight_check(request_, mode, decision) is (decision.reason is None)
    if decision.reason is not None:
        assert not preflight_check(request_, "omit", decision)
        assert not preflight_check(request_, "include", decision)
    else:
        assert decision.status == 204
        assert request_.request_method in headers[METHODS].split(", ")
