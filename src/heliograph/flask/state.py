"""What the extension holds of one application: its settings and its hub."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from flask.json.provider import DefaultJSONProvider

from ..brokers.sqlite.private_files import make_folder
from ..errors import BrokerUnavailableError
from ..faces import Arrivals
from ..faces.creation_lock import creation_lock
from ..hub import HubThread
from ..servers.advice import Advice
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from ..faces.settings import Settings

__all__ = ["ADVICE", "State", "state_of"]

# The name of the logger is documented (docs/deployment.md).
ADVICE = Advice(logging.getLogger("heliograph.flask"), url_setting="SSE_URL")
"""Warnings about the set-up of a Flask application."""

_EXTENSION = "heliograph"


class State:
    """
    The settings and the hub of one application.

    Args:
        app: The application. Its settings are read at once, so that a mistake shows at
            start.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.settings = read_settings(app)
        self._hub: HubThread | None = None
        app.wsgi_app = Arrivals(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says

    @property
    def hub(self) -> HubThread:
        """The application's hub, created when it is first needed."""
        hub = self._hub
        if hub is not None:
            return hub
        with creation_lock:
            if self._hub is None:
                ADVICE.about_forks()
                # Read again: tests and factories configure after registering.
                self.settings = read_settings(self.app)
                _make_folder(self.settings)
                self._hub = HubThread(
                    self.settings.url,
                    self.settings.hub,
                )
            return self._hub

    @property
    def keys(self) -> tuple[str | bytes, ...]:
        """The keys that sign, the newest last, as Flask has them for sessions."""
        if not self.app.secret_key:
            return ()
        fallbacks = self.app.config.get("SECRET_KEY_FALLBACKS") or ()
        return (*fallbacks, self.app.secret_key)

    @property
    def dumps(self) -> Callable[[Any], str]:
        """The application's JSON encoder; Flask's own one refuses NaN."""
        if isinstance(self.app.json, DefaultJSONProvider):
            # NaN is not JSON: the browser's JSON.parse would throw.
            return partial(self.app.json.dumps, allow_nan=False)
        return self.app.json.dumps


def state_of(app: Flask) -> State:
    """
    Return the state of an application, created when it is first needed.

    Args:
        app: Any application; it need not have the blueprint.

    Raises:
        ConfigError: Listing every mistake in the ``SSE_…`` keys.
    """
    state = app.extensions.get(_EXTENSION)
    if state is None:
        with creation_lock:
            state = app.extensions.get(_EXTENSION)
            if state is None:
                state = app.extensions[_EXTENSION] = State(app)
    assert isinstance(state, State)  # noqa: S101 - the key is ours
    return state


def _make_folder(settings: Settings) -> None:
    folder = settings.folder
    if folder is None:
        return
    try:
        make_folder(folder)
    except OSError as error:
        raise BrokerUnavailableError(
            str(folder),
            f"cannot make the instance folder for the embedded log: {error.strerror};"
            ' set SSE_URL = "sqlite:///…" to a file in another folder',
        ) from error
