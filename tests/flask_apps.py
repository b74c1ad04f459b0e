"""Applications with the extension, and clients of theirs in the same process."""

from flask import Flask
from heliograph.flask import SSE
from streams import StreamParser


def make_app(tmp_path, extension=None, **config):
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))
    app.config.update(SECRET_KEY="key", SSE_URL="memory:", **config)
    extension = extension or SSE()
    extension.init_app(app)
    app.sse = extension
    return app


class Reader:
    """Reads a stream from Flask's test client, which runs the generator."""

    def __init__(self, response):
        assert response.status_code == 200, response.text
        self.response = response
        self.parser = StreamParser()
        self.events = []
        self.chunks = response.iter_encoded()

    def wait(self, count):
        while len(self.events) < count:
            self.events += self.parser.feed(next(self.chunks))
        return self.events

    def placed(self):
        while not self.parser.last_event_id:
            self.events += self.parser.feed(next(self.chunks))
        return self

    def rest(self):
        for chunk in self.chunks:
            self.events += self.parser.feed(chunk)
        return self.events
