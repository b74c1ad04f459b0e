"""Browsers' writing of what people write."""

import pytest

from heliograph.cors.host_writing import is_starred_address, origin_of


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTPS://App.Example:443/path?q#f", "https://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("https:/app.example", "https://app.example"),
        ("https//app.example", "https://app.example"),
        ("http:localhost:3000", "http://localhost:3000"),
        ("localhost:3000", "http://localhost:3000"),
        ("app.example:3000", "https://app.example:3000"),
        ("printer.lan.", "http://printer.lan."),
        ("wss://app.example", "https://app.example"),
        ("https://user:pw@app.example", "https://app.example"),
        (" 'https://app.example' ", "https://app.example"),
        ("http://[2001:DB8:0:0::1]", "http://[2001:db8::1]"),
        ("http://[::ffff:192.0.2.1]", "http://[::ffff:c000:201]"),
        ("http://[::g]", None),
        ("http://127.1", "http://127.0.0.1"),
        ("http://0x7F000001", "http://127.0.0.1"),
        ("http://0x", "http://0.0.0.0"),
        ("http://017.0.0.1.", "http://15.0.0.1"),
        ("http://192.168.257", "http://192.168.1.1"),
        ("http://1.2.3.256", None),
        ("http://256.2.3.4", None),
        ("http://1.2.3.4.5", None),
        ("http://a.4", None),
        ("http://08.0.0.1", None),
        ("http://10.*.*.*:3000", "http://10.*.*.*:3000"),
        ("http://10.*", None),
        ("https://*.app.example:*", "https://*.app.example:*"),
        ("chrome-extension://AbC", "chrome-extension://AbC"),
        ("https://app.example:99999", None),
        ("https://", None),
        ("nobody knows", None),
    ],
)  # fmt: skip
def test_origins(text, origin):
    """The origin is the one of the URL standard, or none."""
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("10.*.*.*", True),
        ("*.1", True),
        ("10.0.0.1", False),
        ("*.*", False),
        ("*.a", False),
    ],
)
def test_starred_addresses(host, is_one):
    """A host of numbers and stars is an address; one of stars alone is not."""
    assert is_starred_address(host) is is_one
