"""The objects that the extension keeps for each application."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from flask.json.provider import DefaultJSONProvider

from ..errors import ConfigError
from ..faces import Arrivals
from ..faces.config_watch import ConfigWatch
from ..faces.creation_lock import the_only
from ..faces.lazy_hub import LazyHub
from ..faces.settings import KEYS, URL_KEY
from ..faces.stream_layer import StreamLayer
from ..servers.advice import Advice
from .settings import FLASK_SSE_KEYS, URL_ALIASES, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from ..faces.settings import Settings
    from ..hub import StreamHub

__all__ = ["ADVICE", "State", "state_of"]

# The name of the logger is documented (docs/deployment.md).
ADVICE = Advice(logging.getLogger("heliograph.flask"), url_setting=URL_KEY)
"""Warnings about the set-up of a Flask application."""

_EXTENSION = "heliograph"


class State:
    """
    The settings and the hub of one application.

    Args:
        app: The application. Its settings are read at once, so that mistakes are reported
            at start.

    Raises:
        ConfigError: Listing every mistake in the ``SSE_…`` keys.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        watch = ConfigWatch(app.config, (*KEYS, *URL_ALIASES, *FLASK_SSE_KEYS))
        self._lazy_hub = LazyHub(partial(read_settings, app), ADVICE, watch)
        self._serves_streams = False
        _ = self.keys  # so that a mistake shows at start

    @property
    def serves_streams(self) -> bool:
        """Whether the layer is around the application."""
        return self._serves_streams

    def serve_streams(self) -> None:
        """Put the layer around the application that serves its streams, once."""
        if not self._serves_streams:
            self._serves_streams = True
            self.app.wsgi_app = Arrivals(StreamLayer(self.app.wsgi_app))  # type: ignore[method-assign]  # Flask documents this

    @property
    def hub(self) -> StreamHub:
        """The application's hub. See :attr:`.LazyHub.hub`."""
        return self._lazy_hub.hub

    def check_unchanged(self) -> None:
        """Check that no setting was changed since. See :meth:`.LazyHub.check_unchanged`."""
        self._lazy_hub.check_unchanged()

    @property
    def settings(self) -> Settings:
        """The application's settings. See :attr:`.LazyHub.settings`."""
        return self._lazy_hub.settings

    @property
    def keys(self) -> tuple[str | bytes, ...]:
        """
        The keys that sign URLs, the newest last: those that sign Flask's sessions.

        Raises:
            ConfigError: A key is neither a str nor bytes, or the fallbacks are no list.
        """
        key = self.app.secret_key
        if not key:
            return ()
        fallbacks = self.app.config.get("SECRET_KEY_FALLBACKS") or ()
        # Each character of a text would be a key of its own, with which anybody could sign.
        # The messages show nothing of a key.
        if not isinstance(fallbacks, list | tuple | set | frozenset):
            kind = type(fallbacks).__name__
            raise ConfigError(
                [f"SECRET_KEY_FALLBACKS must be a list of keys, not {kind}: write [key]"]
            )
        for name, value in [
            *(("SECRET_KEY_FALLBACKS", each) for each in fallbacks),
            ("SECRET_KEY", key),
        ]:
            if not isinstance(value, str | bytes):
                raise ConfigError(
                    [f"a key in {name} must be str or bytes, not {type(value).__name__}"]
                )
        return (*fallbacks, key)

    @property
    def dumps(self) -> Callable[[Any], str]:
        """The application's JSON encoder. Flask's default encoder refuses NaN here."""
        if isinstance(self.app.json, DefaultJSONProvider):
            # NaN is not JSON (RFC 8259 section 6): the browser's JSON.parse would throw.
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
    return the_only(State, app.extensions, _EXTENSION, lambda: State(app))
