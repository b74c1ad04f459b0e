"""An application that publishes while it is imported."""

from plain import app

from heliograph.flask import sse

with app.app_context():
    sse.publish("at import")
