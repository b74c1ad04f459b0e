"""
The Flask extension: publish from anywhere, stream from a blueprint.

One blueprint may serve several applications. What belongs to an application is in its
``extensions["heliograph"]``; the blueprint holds the application only weakly, to know
which one is meant when there is no application context.
"""

from __future__ import annotations

import gc
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flask.json.provider import DefaultJSONProvider

from flask import Blueprint, Flask, abort, current_app, has_app_context, request

from ..brokers.sqlite.private_files import make_folder
from ..channels.asked import (
    ARRIVED,
    DEFAULT_CHANNEL,
    asked_channels,
    asked_position,
    may_listen,
)
from ..channels.entry import id_after
from ..channels.names import check_channel, check_selection
from ..errors import (
    BrokerUnavailableError,
    ConfigError,
    InvalidFieldError,
)
from ..event import make_event
from ..hub import HubStatistics, HubThread
from ..servers.advice import advise_about_forks, advise_about_uwsgi
from ..servers.wsgi_response import StreamRequest
from ..tokens import InvalidTokenError, check_seconds, check_token, make_token
from .making import making
from .settings import Settings, read_settings
from .stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask.blueprints import BlueprintSetupState

    from flask import Response

__all__ = ["SSE", "ServerSentEventsBlueprint", "sse"]

_EXTENSION = "heliograph"

# What servers say of a client that comes over a Unix socket.
_NO_ADDRESS = frozenset({None, "", "0.0.0.0", "<local>", "localhost"})  # noqa: S104 - not bound

_Authorizer = TypeVar(
    "_Authorizer",
    bound="Callable[[tuple[str, ...]], bool | Awaitable[bool | None] | None]",
)


class _State:
    """What the extension knows of one application."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        # Read at once, so that a mistake shows at start.
        self.settings = read_settings(app)
        self._hub: HubThread | None = None
        app.wsgi_app = _Arrivals(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says

    @property
    def hub(self) -> HubThread:
        hub = self._hub
        if hub is not None:
            return hub
        with making:
            if self._hub is None:
                advise_about_forks()
                # Read again: tests and factories configure after registering.
                self.settings = read_settings(self.app)
                _make_folder(self.settings)
                self._hub = HubThread(
                    self.settings.url,
                    self.settings.hub,
                )
            return self._hub


class _Arrivals:
    """
    Notes when requests arrive: before sessions, hooks and authorizers look at them.

    A permission that is withdrawn after that moment may still have let the client in.

    Args:
        wsgi_app: The application's.
    """

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request. See PEP 3333."""
        # Middleware further out may have noted it before.
        environ.setdefault(ARRIVED, time.monotonic_ns())
        return self._wsgi_app(environ, start_response)


class ServerSentEventsBlueprint(Blueprint):
    """
    Streams of events as a blueprint, with what is needed to publish to them.

    :data:`sse` is one with its route. One that you make yourself has none until you
    add it: ``add_url_rule("", endpoint="stream", view_func=blueprint.stream)``.

    Args:
        name: The blueprint's name.
        import_name: Usually ``__name__``.
        options: As for :class:`flask.Blueprint`.
    """

    def __init__(self, name: str, import_name: str, **options: Any) -> None:
        super().__init__(name, import_name, **options)
        self._authorizer: Callable[[tuple[str, ...]], Any] | None = None
        # Application -> endpoint of the stream there.
        self._apps: weakref.WeakKeyDictionary[Flask, str] = weakref.WeakKeyDictionary()
        self.record(self._on_registered)

    def publish(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
    ) -> str:
        """
        Send an event to everyone who listens to a channel, now or when they are back.

        Needs no request. Needs no application context either, if the blueprint is
        registered with exactly one application of this process.

        Args:
            data: A str is sent as it is; anything else as JSON, by the application's
                provider.
            type: The name that ``addEventListener`` waits for; ``"message"`` if none.
            id: An id of your own, instead of the one that is given. Streams of several
                channels do not show it. An int counts as its decimal digits.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or 1 to 64 of them; each takes the event on its own.

        Returns:
            The id with which a stream of just these channels goes on after the event.

        Raises:
            InvalidFieldError: A field or a channel's name cannot be sent.
            EventTooLargeError: The event is larger than ``SSE_MAX_EVENT_BYTES``.
            BrokerUnavailableError: The event could not be stored.
            ConfigError: The configuration is wrong.
            RuntimeError: It is not clear which application is meant.
        """
        state = self._state()
        event = make_event(_dumps(state.app), data, type, id, retry)
        names = check_selection(channel)
        entries = state.hub.publish(names, event)
        return id_after(entries)

    def stream(self) -> Response:
        """
        Answer a client that wants events: the view of the blueprint's route.

        The query names the channels (``channel``, repeated for several; ``sse`` if
        there is none), and may have ``token`` and ``lastEventId``.

        Returns:
            A stream, from the client's last event id on if it sent one.

        Raises:
            HTTPException: 400 for a bad channel or id, 403 for who is not let in, and what
                an authorizer aborts with.
        """
        state = self._state()
        # First, since it reads the settings that decide who is let in.
        hub = state.hub
        channels = _requested_channels()
        expires_at = self._authorize(state, channels)
        asked = StreamRequest(
            channels=channels,
            last_event_id=_last_event_id(),
            expires_at=expires_at,
            address=None if request.remote_addr in _NO_ADDRESS else request.remote_addr,
            arrived_at=request.environ.get(ARRIVED, time.monotonic_ns()),
            may_take_over=state.settings.take_over,
        )
        return EventStream(hub, asked)

    def authorizer(self, function: _Authorizer) -> _Authorizer:
        """
        Decide who may listen: a decorator.

        The function is called within the request, before the stream begins, unless the
        client has a valid token. ``return False`` refuses with 403, :func:`flask.abort`
        with what it says; ``return True`` lets the client in. So does returning nothing,
        unless ``SSE_PRIVATE`` is set.

        Args:
            function: Takes the channels asked for, sorted, each once.

        Returns:
            The function.
        """
        self._authorizer = function
        return function

    def url_for(self, *channels: str, expires_in: float | timedelta) -> str:
        """
        Give the address of a stream, signed: whoever has it may listen until it expires.

        When it expires its streams end, and it opens no new one.

        Args:
            channels: 1 to 64 channels.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

        Returns:
            The URL, as :func:`flask.url_for` makes it: a path within a request.

        Raises:
            InvalidFieldError: A channel or ``expires_in`` is none.
            ConfigError: The application has no ``SECRET_KEY``.
            RuntimeError: It is not clear which application is meant, or what its URLs
                begin with.
        """
        names = check_selection(channels)
        seconds = check_seconds(expires_in)
        state = self._state()
        endpoint = self._apps.get(state.app)
        if endpoint is None:
            raise RuntimeError(
                f"{state.app!r} has no stream: app.register_blueprint(sse, url_prefix=…)"
            )
        keys = _keys(state.app)
        if not keys:
            raise ConfigError(
                ["signed stream URLs need a SECRET_KEY: app.config['SECRET_KEY'] = …"]
            )
        token = make_token(keys, names, seconds)
        return state.app.url_for(endpoint, channel=list(names), token=token)

    def disconnect(self, channel: str) -> None:
        """
        End the streams that have a channel in their selection, in all processes.

        Browsers reconnect by themselves, so refuse them first: in the authorizer, or by
        letting their token expire.

        Args:
            channel: A channel.

        Raises:
            InvalidFieldError: It is no channel's name.
            BrokerUnavailableError: Other processes could not be told.
            RuntimeError: It is not clear which application is meant.
        """
        self._state().hub.disconnect(check_channel(channel))

    def statistics(self) -> HubStatistics:
        """
        Give what this process serves, for a health check or metrics.

        Raises:
            RuntimeError: It is not clear which application is meant.
        """
        return self._state().hub.statistics()

    def _on_registered(self, setup: BlueprintSetupState) -> None:
        app = setup.app
        assert isinstance(app, Flask)  # noqa: S101 - blueprints register with nothing else
        advise_about_uwsgi()
        self._apps[app] = f"{setup.name_prefix}.{setup.name}.stream".lstrip(".")
        _state_of(app)

    def _state(self) -> _State:
        if has_app_context():
            return _state_of(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - Flask documents it for this
        if len(self._apps) > 1:
            # A factory that was called twice: the first may be garbage already.
            gc.collect()
        apps = list(self._apps)
        if len(apps) == 1:
            return _state_of(apps[0])
        found = "none" if not apps else ", ".join(repr(app.name) for app in apps)
        raise RuntimeError(
            "which application? Outside of an application context the blueprint must be"
            f" registered with exactly one, not {found}; use: with app.app_context(): …"
        )

    def _authorize(self, state: _State, channels: tuple[str, ...]) -> float | None:
        token = request.args.get("token")
        if token is not None:
            try:
                return check_token(_keys(state.app), token, channels)
            except InvalidTokenError as error:
                abort(403, description=str(error))
        if self._authorizer is None:
            if state.settings.private:
                abort(403, description="a signed URL is needed")
            if len(channels) > 1 and _has_hooks_of_its_own():
                # Hooks written for Flask-SSE look at request.args["channel"], the first:
                # what they would refuse must not come in as the second.
                abort(
                    403,
                    description="where before_request guards the stream, several channels"
                    " need an authorizer or a signed URL",
                )
            return None
        verdict = state.app.ensure_sync(self._authorizer)(channels)
        if not may_listen(verdict, private=state.settings.private):
            abort(403, description="not allowed to listen to these channels")
        return None


class SSE(ServerSentEventsBlueprint):
    """
    The same as an extension: ``SSE(app)``, or ``init_app`` in a factory.

    Args:
        app: Registered with at once if given.
        url_prefix: Where the stream is.
        name: The blueprint's name; give each of several its own.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        url_prefix: str = "/stream",
        name: str = "sse",
    ) -> None:
        super().__init__(name, __name__, url_prefix=url_prefix)
        self.add_url_rule("", endpoint="stream", view_func=self.stream)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """
        Add the stream to an application.

        Args:
            app: Configured: mistakes show now.

        Raises:
            ConfigError: Listing every mistake in the ``SSE_…`` keys.
        """
        app.register_blueprint(self)


sse = ServerSentEventsBlueprint("sse", __name__)
"""The blueprint that most applications need: ``app.register_blueprint(sse, …)``."""

sse.add_url_rule(rule="", endpoint="stream", view_func=sse.stream)


def _state_of(app: Flask) -> _State:
    state = app.extensions.get(_EXTENSION)
    if state is None:
        with making:
            state = app.extensions.get(_EXTENSION)
            if state is None:
                state = app.extensions[_EXTENSION] = _State(app)
    assert isinstance(state, _State)  # noqa: S101 - the key is ours
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
            ' set SSE_URL = "sqlite:///…" to another place',
        ) from error


def _dumps(app: Flask) -> Callable[[Any], str]:
    if isinstance(app.json, DefaultJSONProvider):
        # NaN is no JSON: the browser's JSON.parse would throw at the other end.
        return partial(app.json.dumps, allow_nan=False)
    return app.json.dumps


def _has_hooks_of_its_own() -> bool:
    hooks = current_app.before_request_funcs
    return any(hooks.get(name) for name in request.blueprints)


def _requested_channels() -> tuple[str, ...]:
    try:
        return asked_channels(request.args.getlist("channel"))
    except InvalidFieldError as error:
        abort(400, description=str(error))


def _last_event_id() -> str | None:
    # WSGI hands bytes on as Latin-1.
    header = request.headers.get("Last-Event-ID", "").encode("latin-1")
    try:
        return asked_position(header, request.args.get("lastEventId"))
    except InvalidFieldError as error:
        abort(400, description=str(error))


def _keys(app: Flask) -> list[str | bytes]:
    # As Flask does for sessions.
    if not app.secret_key:
        return []
    return [*(app.config.get("SECRET_KEY_FALLBACKS") or []), app.secret_key]
