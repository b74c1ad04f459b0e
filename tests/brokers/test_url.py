"""URLs as messages show them."""

import pytest

from heliograph.brokers.url import without_password

# (a URL, what of it is shown). Add a row, not a test.
URLS = [
    pytest.param("redis://host:6379/0", "redis://host:6379/0", id="nothing-to-hide"),
    pytest.param("redis://:secret@host/0", "redis://…@host/0", id="password"),
    pytest.param("redis://user:secret@host/0", "redis://…@host/0", id="user-and-password"),
    pytest.param("redis://host/0?password=secret", "redis://host/0", id="options"),
    pytest.param("redis://u:sec/ret@host", "redis:…", id="a-slash-in-the-password"),
    pytest.param("redis://u:sec?ret@host", "redis:…", id="a-question-in-the-password"),
    pytest.param("redis://[secret", "redis:…", id="no-url-at-all"),
    pytest.param("sqlite:////folder/file", "sqlite:////folder/file", id="a-path"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_without_password(url, shown):
    """What may be a password, or hold one, is left out."""
    assert without_password(url) == shown
