"""django-eventstream on uvicorn, within one process."""

from __future__ import annotations

from .base import pinned
from .python_peers import OnUvicorn


class DjangoEventstream(OnUvicorn):
    """
    django-eventstream without Redis, Pushpin and database: it stores nothing.

    It keeps ten events of a client that does not read as fast as events come, and loses
    the rest: without a database this cannot be configured.
    """

    application = "django_eventstream_app:application"

    @property
    def name(self) -> str:
        """Return the name with the version."""
        return f"django-eventstream {pinned('django-eventstream')} on uvicorn"
