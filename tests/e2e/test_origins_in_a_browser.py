"""Chromium is the judge: how it writes the origin of what people write."""

import pytest

from heliograph.cors.host_writing import origin_of
from heliograph.cors.origins import is_origin

# Each is a URL, in a spelling that is not an origin, or is one already.
URLS = [
    "https://app.example",
    "HTTPS://App.Example:443/path?q#f",
    "https://user:pw@app.example/",
    "http://app.example:443",
    "http://app.example:080",
    "https://app.example.",
    "https://under_score.example",
    "http://[2001:DB8::1]:3000",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[2001:0db8::1]",
    "http://[2001:db8:0:0:1:0:0:1]",
    "http://[2001:db8:0:1:1:1:1:1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]:80",
    "http://[::1.2.3.4]",
    "http://127.1:5000",
    "http://127.0.0.1.",
    "http://0x7f.0.0.1",
    "http://2130706433",
    "http://010.0.0.1",
    "http://192.168.257",
    "http://0x",
]
# Chromium makes no URL of these.
NONE = ["http://1.2.3.256", "http://1.2.3.4.5", "http://a.4", "http://[::g]", "http://08.1"]


@pytest.fixture(scope="module")
def tab(browser):
    return browser.new_page()


def test_origins(tab):
    """What we say that a browser sends is what Chromium sends."""
    written = tab.evaluate("urls => urls.map(url => new URL(url).origin)", URLS)

    assert {url: origin_of(url) for url in URLS} == dict(zip(URLS, written, strict=True))
    assert [origin for origin in written if not is_origin(origin)] == []


def test_no_origins(tab):
    """What is no URL in Chromium has no origin."""
    valid = tab.evaluate("urls => urls.filter(url => URL.canParse(url))", NONE)

    assert valid == []
    assert [url for url in NONE if origin_of(url) is not None] == []
