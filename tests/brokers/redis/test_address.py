"""URLs of Redis are parsed whole: every mistake is named."""

import inspect
import ssl

import pytest
import redis
import redis.asyncio

from heliograph import ConfigError
from heliograph.brokers import open_broker
from heliograph.brokers.redis import Address
from heliograph.brokers.redis.options import OPTIONS, PASSED_OVER, REFUSED
from heliograph.documentation import page

NOT_VALID = (
    "the host is not valid, or a user's name or a password has characters that must be"
    " percent-encoded"
)
ONE_PASSWORD = (
    "one user and one password belong before the first host, for all hosts; write , and @"
    " in them as %2C and %40"
)

# URL, what is said. Add a row, not a test.
MISTAKES = [
    ("redis://h/x", "redis://h/x: the database must be a whole number, not 'x'"),
    ("redis://h/1?db=1", "redis://h/1: the database is named twice, in the path and as db"),
    ("redis://h:port", "redis: URL: a port must be a number; write @ after a user and a password"),
    ("redis://u:secret/0", "redis: URL: a port must be a number; write @ after a user and a password"),
    ("redis+cluster://[::1]:7000,h:secret", "redis+cluster: URL: a port must be a number; write @ after a user and a password"),
    ("redis://u@h:port", "redis://h:port: 'h:port' is no host and port"),
    ("redis://h:65536", "redis://h:65536: 'h:65536' is no host and port"),
    ("redis://", "redis://: a host is missing"),
    ("redis://h1,h2", "redis://h1,h2: several hosts need redis+sentinel:// or redis+cluster://, not redis://"),
    ("redis://h?ssl_ca_cert=x", "redis://h: ssl_ca_cert is no option; did you mean ssl_ca_certs?"),
    ("redis://h?ssl_ca_certs=x", "redis://h: ssl_ca_certs needs TLS: rediss instead of redis"),
    ("rediss://h?ssl_cert_reqs=nope", "rediss://h: ssl_cert_reqs must be none, optional or required, not 'nope'"),
    ("rediss://h?ssl_check_hostname=maybe", "rediss://h: ssl_check_hostname must be true or false, not 'maybe'"),
    ("redis://h?sentinel_password=secret", "redis://h: sentinel_password needs redis+sentinel://"),
    ("redis://h?socket_timeout=0", "redis://h: socket_timeout must be above 0 and at most 3600 seconds, not '0'"),
    ("redis://h?prefix=a{b", "redis://h: prefix must not contain braces, blanks or control characters, not 'a{b'"),
    ("redis://h?prefix=", "redis://h: prefix must have 1 to 64 characters, not ''"),
    ("redis://h?replicas=many", "redis://h: replicas must be all, or a whole number from 0 to 100, not 'many'"),
    ("redis://h?replicas=all", "redis://h: replicas=all needs redis+sentinel:// or redis+cluster://"),
    ("redis+sentinel://h", "redis+sentinel://h: the name that the Sentinels give the service is missing"),
    ("redis+cluster://h/2", "redis+cluster://h/2: a cluster has only the database 0"),
    ("unix://path/s", "unix://path/s: unix:///path/of/the/socket has three slashes and a path"),
    ("redis://u:secret@[h", f"redis: URL: {NOT_VALID}"),
    ("redis://:secret\u2100word@h/0", f"redis: URL: {NOT_VALID}"),
    ("redis://:pa[secret]word@h/0", f"redis: URL: {NOT_VALID}"),
    ("redis://:secret@h1,:secret@h2", f"redis: URL: {ONE_PASSWORD}"),
    ("redis+cluster://:secret@h1:7000,:secret@h2:7000", f"redis+cluster: URL: {ONE_PASSWORD}"),
    ("redis+cluster://h1:7000,:secret@h2:7000", f"redis+cluster: URL: {ONE_PASSWORD}"),
    ("rediss+sentinel://h1,u:secret@h2/main", f"rediss+sentinel: URL: {ONE_PASSWORD}"),
    ("redis+sentinel://u:sec@ret@h1,h2/main", f"redis+sentinel: URL: {ONE_PASSWORD}"),
    ("redis://:pa/secret@h/0", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://:pa?secret@h/0", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://u:12#secret@h", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://u:one@h?password=secret", "redis://h: the password is named twice"),
    ("redis://h?odd=1", f"redis://h: odd is no option; see {page('redis.md')}"),
    ("redis://h?host=other", "redis://h: host belongs before the question mark, as in redis://host:6379"),
    ("redis://h?path=/s", "redis://h: path belongs before the question mark, as in unix:///path/of/the/socket"),
    ("redis://h?socket_keepalive=maybe", "redis://h: socket_keepalive must be true or false, not 'maybe'"),
    ("rediss://h?ssl_min_version=1.2", "rediss://h: ssl_min_version must be the number of a version, such as 771 for 1.2, not '1.2'"),
    ("rediss://h?ssl_exclude_verify_flags=STRICT", "rediss://h: ssl_exclude_verify_flags must list flags of ssl.VerifyFlags, not 'STRICT'"),
    ("rediss://h?ssl_validate_ocsp=true", "rediss://h: ssl_validate_ocsp cannot be kept: redis-py's connections for asyncio do not check by OCSP"),
    ("redis://h:0", "redis://h:0: a port must be between 1 and 65535, not 0"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "said"), MISTAKES, ids=[url for url, _ in MISTAKES])
def test_mistakes_in_urls(url, said):
    """Each is named, with the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url)

    assert caught.value.problems == (said,)
    # The traceback shows the URL only where the caller's code does.
    assert "secret" not in f"{caught.value} {caught.value.__context__}"


def test_all_mistakes_at_once():
    """None hides another."""
    with pytest.raises(ConfigError) as caught:
        open_broker("redis://u:secret@h/x?db=1&replicas=x&odd=1&socket_timeout=x")

    assert len(caught.value.problems) == 4
    assert "secret" not in str(caught.value)


def test_what_a_url_says():
    """Everything in it arrives where it is needed, unquoted."""
    address = Address.parse(
        "rediss+sentinel://us%40er:pass%2Fword@one,two:7000,[::1]:7001/main/2"
        "?sentinel_password=p&ssl_check_hostname=no&prefix=shop:&replicas=1&socket_timeout=2"
    )

    assert address.kind == "sentinel"
    assert address.hosts == (("one", 26379), ("two", 7000), ("::1", 7001))
    assert (address.service, address.tls) == ("main", True)
    assert address.options == {
        "username": "us@er",
        "password": "pass/word",
        "db": 2,
        "ssl_check_hostname": False,
        "socket_timeout": 2.0,
    }
    assert address.sentinel_options == {"password": "p"}
    assert (address.prefix, address.replicas) == ("shop:", 1)
    assert address.shown == "rediss+sentinel://one,two:7000,[::1]:7001/main/2"


# (the user and password of a URL, the password that it means). Add a row, not a test.
PASSWORDS = [
    ("redis://u:a,b@h", "a,b"),
    ("redis://u:a@b@h", "a@b"),
    ("redis://u:a%2Cb%40@h", "a,b@"),
    ("redis+cluster://u:a%2Cb%40@h1,h2:7000", "a,b@"),
    ("redis+sentinel://u:a%2Cb%40@h1,[::1]/main", "a,b@"),
]


@pytest.mark.parametrize(("url", "password"), PASSWORDS)
def test_passwords(url, password):
    """Whatever they contain, if it is certain where they end."""
    assert Address.parse(url).options["password"] == password


# An option of redis-py, and what becomes of it: what connections get. Add a row, not a test.
TAKEN = [
    ("socket_keepalive=False", {"socket_keepalive": False}),
    ("socket_timeout=2.5", {"socket_timeout": 2.5}),
    ("ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "none"}),
    ("ssl_cert_reqs=Required", {"ssl_cert_reqs": "required"}),
    ("ssl_check_hostname=F", {"ssl_check_hostname": False}),
    ("ssl_ca_path=/etc/ssl/certs", {"ssl_ca_path": "/etc/ssl/certs"}),
    ("ssl_password=secret", {"ssl_password": "secret"}),
    ("ssl_min_version=771", {"ssl_min_version": ssl.TLSVersion.TLSv1_2}),
    (
        "ssl_exclude_verify_flags=[VERIFY_X509_STRICT, VERIFY_X509_PARTIAL_CHAIN]",
        {
            "ssl_exclude_verify_flags": [
                ssl.VerifyFlags.VERIFY_X509_STRICT,
                ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN,
            ]
        },
    ),
]


@pytest.mark.parametrize(("option", "options"), TAKEN, ids=[one for one, _ in TAKEN])
def test_options_of_redis_py(option, options):
    """They mean what they mean to other users of the URL."""
    assert Address.parse(f"rediss://h?{option}").options == options


def test_options_that_are_passed_over():
    """They say how others treat their connections: nothing of them arrives anywhere."""
    query = "max_connections=9&decode_responses=True&protocol=3&health_check_interval=30"

    address = Address.parse(f"redis://h?{query}&prefix=a:&decode_responses=True")

    assert address.options == {}
    assert address.prefix == "a:"
    assert address.passed_over == (
        "max_connections",
        "decode_responses",
        "protocol",
        "health_check_interval",
    )
    local = Address.parse("unix:///s?socket_keepalive=True")
    assert (local.options, local.passed_over) == ({}, ("socket_keepalive",))


def test_every_option_that_redis_py_parses():
    """A new one of its releases is noticed here: it is taken, passed over or refused."""
    parsers = (redis.connection, redis.asyncio.connection)
    theirs = {name for one in parsers for name in one.URL_QUERY_ARGUMENT_PARSERS}

    assert theirs <= set(OPTIONS) | PASSED_OVER | set(REFUSED)


def arguments_of(*classes):
    """Return the arguments of some classes that text may give a value to."""
    found = set()
    for one in classes:
        for name, argument in inspect.signature(one.__init__).parameters.items():
            if isinstance(argument.default, str | int | float | bool):
                found.add(name)
    return found


def test_every_argument_that_a_url_may_give():
    """What redis-py's connections and pools take as text, numbers or truth is known, too."""
    theirs = arguments_of(
        redis.Connection,
        redis.SSLConnection,
        redis.UnixDomainSocketConnection,
        redis.BlockingConnectionPool,
        redis.connection.AbstractConnection,
        redis.asyncio.Connection,
        redis.asyncio.SSLConnection,
        redis.asyncio.UnixDomainSocketConnection,
        redis.asyncio.BlockingConnectionPool,
        redis.asyncio.connection.AbstractConnection,
    )

    assert theirs >= {"decode_responses", "ssl_cert_reqs", "max_connections"}
    assert theirs <= set(OPTIONS) | PASSED_OVER | set(REFUSED)
