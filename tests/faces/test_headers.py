"""The headers of a stream."""

import pytest

from heliograph.faces import Admission, stream_headers
from heliograph.wire.coding import Coding


@pytest.mark.parametrize("coding", Coding)
def test_headers(coding):
    """The coding is named; proxies are told to leave it, and caches that there are two."""
    headers = stream_headers(Admission(("a",), coding=coding))

    assert len(dict(headers)) == len(headers)
    assert dict(headers).get("Content-Encoding") == coding.content_encoding
    assert dict(headers)["Vary"] == "Accept-Encoding"
    assert dict(headers)["Cache-Control"] == "no-store, no-transform"
    assert dict(headers)["X-Accel-Buffering"] == "no"
