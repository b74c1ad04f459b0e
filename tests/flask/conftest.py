"""An application with the extension, and its streams."""

import pytest

from flask_apps import Reader, make_app


@pytest.fixture
def app(tmp_path):
    app = make_app(tmp_path)
    yield app
    app.extensions["heliograph"].hub.close()


@pytest.fixture
def stream(app):
    readers = []

    def open_stream(url="/stream", **options):
        reader = Reader(app.test_client().get(url, **options))
        readers.append(reader)
        return reader.placed()

    yield open_stream
    for reader in readers:
        reader.response.close()
