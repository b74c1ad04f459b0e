"""URLs of Redis are parsed whole: every mistake is named."""

import pytest

from heliograph import ConfigError
from heliograph.brokers import open_broker
from heliograph.brokers.redis import Address

# URL, what is said. Add a row, not a test.
MISTAKES = [
    ("redis://h/x", "redis://h/x: the database must be a whole number, not 'x'"),
    ("redis://h/1?db=1", "redis://h/1: the database is named twice, in the path and as db"),
    ("redis://h:port", "redis://h:port: 'h:port' is no host and port"),
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
    ("redis://u:secret@[h", "redis: URL: Invalid IPv6 URL"),
    ("redis://:pa/secret@h/0", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://:pa?secret@h/0", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://u:12#secret@h", "redis: URL: / ? # @ in a user's name or a password must be percent-encoded"),
    ("redis://u:one@h?password=secret", "redis://h: the password is named twice"),
    ("redis://h?decode_responses=yes", "redis://h: decode_responses is no option; see docs/redis.md"),
    ("redis://h:0", "redis://h:0: a port must be between 1 and 65535, not 0"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "said"), MISTAKES, ids=[url for url, _ in MISTAKES])
def test_mistakes_in_urls(url, said):
    """Each is named, with the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url)

    assert caught.value.problems == (said,)
    assert "secret" not in str(caught.value)


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
