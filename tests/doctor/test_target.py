"""What may be examined, and what is shown of it."""

import pytest

from heliograph import ConfigError
from heliograph.doctor import Target
from heliograph.doctor.target import Address, show_url

ADDRESSES = [
    ("http://a.example", "http://a.example", "a.example", "/"),
    ("http://a.example:80/x?y=1", "http://a.example", "a.example", "/x?y=1"),
    ("https://A.Example:443/x#y", "https://a.example", "a.example", "/x"),
    ("https://a.example:8443/ü x?q=ü", "https://a.example:8443", "a.example:8443", "/%C3%BC%20x?q=%C3%BC"),
    ("http://[::1]:8000/%20", "http://[::1]:8000", "[::1]:8000", "/%20"),
    ("http://bücher.example/", "http://xn--bcher-kva.example", "xn--bcher-kva.example", "/"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "origin", "authority", "path"), ADDRESSES)
def test_addresses(url, origin, authority, path):
    """As a browser asks for them."""
    address = Address(url)

    assert (address.origin, address.authority, address.path) == (origin, authority, path)


SHOWN = [
    ("https://u:p@a.example/x?token=abcd#f", "https://a.example/x?token=…"),
    ("https://a.example/x?channel=news&channel=a&k=v&bare", "https://a.example/x?channel=news&channel=a&k=…&bare=…"),
    ("redis://:pass@host:6379/0", "redis://host:6379/0"),
    ("http://[", "…"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_urls_are_shown_without_secrets(url, shown):
    """Neither passwords nor values of the query, except for the channels."""
    assert show_url(url) == shown


WRONG = [
    ({"url": "ftp://a.example/"}, "must begin with http:// or https://"),
    ({"url": "a.example/stream"}, "must begin with http:// or https://"),
    ({"url": "http:///stream"}, "must begin with http:// or https://"),
    ({"url": "http://a.example:x/"}, "not valid"),
    ({"url": "http://[/"}, "not valid"),
    ({"url": "http://a.example/\udcff"}, "not UTF-8"),
    ({"url": "http://ü..example/"}, "not valid"),
    ({"origin": "https://a.example/"}, "write https://a.example$"),
    ({"origin": "HTTPS://A.example:443"}, "write https://a.example$"),
    ({"origin": "https://a.example:80"}, None),
    ({"origin": "null"}, None),
    ({"broker": "redis://host:6379/0"}, None),
    ({"broker": "rdis://host"}, "rdis"),
    ({"broker": "memory:"}, "the memory of one process"),
    ({"headers": (("a", "ü"), ("b", ""))}, None),
    ({"headers": (("a", "x\x01"),)}, "without control"),
    ({"headers": (("a", "x "),)}, "in one line"),
    ({"origin": "a.example"}, "write https://app.example"),
    ({"origin": "https://a.example?x"}, "write https://a.example$"),
    ({"credentials": True}, "needs --origin"),
    ({"wait_seconds": -1}, "-1 must be from 0 to 86,400"),
    ({"patient_seconds": -1}, "-1 must be from 0 to 86,400"),
    ({"timeout_seconds": -1}, "-1 must be from 0 to 86,400"),
    ({"wait_seconds": float("inf")}, "inf must be from 0 to 86,400"),
    ({"timeout_seconds": float("nan")}, "nan must be from 0 to 86,400"),
    ({"headers": (("a b", "x"),)}, "'a b'"),
    ({"headers": (("a", "x\r\ny: z"),)}, "in one line"),
]


@pytest.mark.parametrize(("options", "reason"), WRONG)
def test_wrong_targets(options, reason):
    """Each is refused with what to write instead; others are not."""
    if reason is None:
        Target(**{"url": "http://a.example/"} | options)
        return
    with pytest.raises(ConfigError, match=reason):
        Target(**{"url": "http://a.example/"} | options)


def test_all_mistakes_are_named():
    """Not only the first one."""
    with pytest.raises(ConfigError, match=r"(?s)ftp.*--origin"):
        Target(url="ftp://a.example/", credentials=True)


def test_secrets_of_queries():
    """As they are meant and as they are written: errors of a driver or a server may have them."""
    target = Target(
        url="http://a.example/?channel=news&token=geheim%2b1",
        broker="redis://host?password=geheim%2D2&prefix=long",
    )
    shown = target.redact("geheim+1 geheim%2b1 geheim-2 geheim%2D2 host long news")

    assert shown == "… … … … host long news"


def test_the_query_of_a_target_is_not_lost():
    """A parameter is added to those that are there."""
    address = Address("http://a.example/x?channel=a").with_parameter("lastEventId", "b c")

    assert address.path == "/x?channel=a&lastEventId=b%20c"
    assert Address("http://a.example/x").with_parameter("a", "b").path == "/x?a=b"
