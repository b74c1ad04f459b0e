"""
The Flask extension: publish from anywhere, stream from a blueprint.

One blueprint may serve several applications. What belongs to an application is in its
``extensions["heliograph"]``. The blueprint holds weak references to its applications, to
find the one to use where there is no application context.
"""

from __future__ import annotations

import gc
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from flask import (
    Flask,
    current_app,
    has_app_context,
    has_request_context,
    request,
)

from ..errors import ConfigError
from ..faces import (
    NeedsVerdict,
    Refusal,
    decide,
    signed_parameters,
)
from ..faces.access import authorizer_problem
from ..faces.settings import access_of
from ..faces.verbs import Verbs, VerbsOf
from .registration import CheckedBlueprint, check_app, warn_of_replacement
from .request import (
    abort_with,
    check_view,
    has_hooks,
    stream_request,
    with_parents,
)
from .responding import stream_by_view
from .state import ADVICE, State, state_of
from .stream import event_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from flask.blueprints import BlueprintSetupState

    from flask import Response

    from ..hub import Leave

__all__ = ["SSE", "ServerSentEventsBlueprint", "sse"]

_Authorizer = TypeVar(
    "_Authorizer",
    bound="Callable[[tuple[str, ...]], bool | Awaitable[bool | None] | None]",
)


class ServerSentEventsBlueprint(CheckedBlueprint, Verbs):
    """
    Streams of events as a blueprint, with the methods that publish to them.

    Those need no request. They need no application context either, if the blueprint is
    registered with exactly one application of this process; otherwise they raise
    :exc:`RuntimeError`.

    :data:`sse` is one with its route. One that you create yourself has none until you
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

    def stream(self) -> Response:
        """
        Return a stream of events: the view of the blueprint's route.

        The query names the channels (``channel``, repeated for several; ``sse`` if
        there is none), and may have ``token`` and ``lastEventId``.

        Returns:
            A stream, which resumes after the client's last event id if it sent one.

        Raises:
            HTTPException: 400 for an invalid channel or id, 403 for a client that is
                refused, or the exception that the authorizer has raised.
            RuntimeError: The view that returns the stream takes no GET.
        """
        check_view()
        state = self._state()
        # First, since it reads the settings that decide who is admitted.
        _ = state.hub
        authorizer = self._authorizer
        access = access_of(
            state.settings,
            keys=state.keys,
            has_authorizer=authorizer is not None,
            hook_sees_one_channel=has_hooks(state.app, request.blueprints),
        )
        decision = decide(stream_request(), access, now=time.time())
        if isinstance(decision, NeedsVerdict):
            assert authorizer is not None  # noqa: S101 - no verdict is needed without one
            verdict = state.app.ensure_sync(authorizer)(decision.channels)
            decision = decision.settle(verdict)
        if isinstance(decision, Refusal):
            abort_with(decision)
        return event_stream(state, decision)

    def response(
        self,
        *channels: str,
        start: str | int = "retained",
        expires_in: float | timedelta | None = None,
        on_leave: Callable[[Leave], Any] | None = None,
    ) -> Response:
        """
        Return a stream of channels that the current view chooses, to any method.

        The view has decided who may listen: neither an authorizer nor a token nor
        ``SSE_PRIVATE`` counts. Of the request only the last event id is read, from the
        header or the query.

        Args:
            channels: 1 to 64 channels.
            start: Where a stream begins whose client sends no id: ``"retained"``,
                ``"now"``, ``"start"``, or how many events of each channel come first.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`, after which the
                stream ends and an ``EventSource`` requests the view again.
            on_leave: Called once with a :class:`~heliograph.hub.Leave`, in an application
                context, when the client has left or its stream has ended; also if it got
                none. May block; what it raises is logged.

        Returns:
            A response, for the view to return.

        Raises:
            HTTPException: 400 for an invalid id of the client.
            InvalidFieldError: A channel, ``start`` or ``expires_in`` is not valid.
            TypeError: ``on_leave`` cannot be called with one argument.
            RuntimeError: It is not clear which application is meant, the blueprint is not
                registered with it, or this is no request.
        """
        return stream_by_view(
            self._state(),
            channels,
            start=start,
            expires_in=expires_in,
            on_leave=on_leave,
        )

    def authorizer(self, function: _Authorizer) -> _Authorizer:
        """
        Register the function that decides who may listen: a decorator.

        The function is called within the request, before the stream begins, unless the
        client has a valid token. ``return False`` refuses with 403, :func:`flask.abort`
        with its own status; ``return True`` admits the client. So does returning nothing,
        unless ``SSE_PRIVATE`` is set.

        Args:
            function: Takes the requested channels, sorted, each once.

        Returns:
            The function.

        Raises:
            ConfigError: An application with the blueprint has a shared window, or the
                function cannot be called with one argument.
        """
        previous = self._authorizer
        # First, so that streams are guarded even if the error is caught.
        self._authorizer = function
        problem = authorizer_problem(function, "channels")
        if problem is not None:
            raise ConfigError([problem])
        warn_of_replacement(self.name, previous, function)
        for app in self._apps:
            access_of(state_of(app).settings, has_authorizer=True)
        return function

    def url_for(self, *channels: str, expires_in: float | timedelta) -> str:
        """
        Return the signed URL of a stream: whoever has it may listen until it expires.

        When it expires, its streams end, and it opens no new one.

        Args:
            channels: 1 to 64 channels.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

        Returns:
            The URL, as :func:`flask.url_for` builds it: a path within a request.

        Raises:
            InvalidFieldError: A channel or ``expires_in`` is not valid.
            ConfigError: The application has no ``SECRET_KEY``.
            RuntimeError: It is not clear which application is meant, or the application
                has no stream; outside of a request also if ``SERVER_NAME`` is not set.
        """
        state = self._state()
        endpoint = self._apps.get(state.app)
        if endpoint is None:
            raise RuntimeError(
                f"{state.app!r} has no stream: app.register_blueprint(sse, url_prefix=…)"
            )
        setting = "app.config['SECRET_KEY'] = …"
        parameters = signed_parameters(
            state.keys, channels, expires_in, now=time.time(), setting=setting
        )
        try:
            return state.app.url_for(endpoint, **parameters)
        except RuntimeError as error:
            if has_request_context():
                raise
            raise RuntimeError(
                f"{self.name}.url_for() does not know the host outside of a request: set"
                " app.config['SERVER_NAME'] = 'www.example.com' (and"
                " PREFERRED_URL_SCHEME = 'https'), or call it in a view, or within"
                " app.test_request_context(base_url='https://www.example.com')"
            ) from error

    def _verbs(self) -> VerbsOf:
        state = self._state()
        return VerbsOf(state.hub, state.dumps)

    def _on_registered(self, setup: BlueprintSetupState) -> None:
        app = setup.app
        assert isinstance(app, Flask)  # noqa: S101 - blueprints register with nothing else
        ADVICE.about_uwsgi()
        name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
        self._apps[app] = f"{name}.stream"
        state = state_of(app)
        state.serve_streams()
        access_of(
            state.settings,
            has_authorizer=self._authorizer is not None,
            hook_sees_one_channel=has_hooks(app, with_parents(name)),
        )

    def _state(self) -> State:
        state = self._found_state()
        state.check_unchanged()
        return state

    def _found_state(self) -> State:
        if has_app_context():
            return state_of(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - Flask documents it for this
        if len(self._apps) > 1:
            # A factory that was called twice: the first may be garbage already.
            gc.collect()
        apps = list(self._apps)
        if len(apps) == 1:
            return state_of(apps[0])
        if not apps:
            raise RuntimeError(
                f"which application? The blueprint {self.name!r} is registered with none:"
                f" write app.register_blueprint({self.name}, url_prefix=…), and publish by"
                " the object that is registered"
            )
        names = ", ".join(repr(app.name) for app in apps)
        raise RuntimeError(
            "which application? Outside of an application context the blueprint must be"
            f" registered with exactly one, not {names}; write with app.app_context(): …"
        )


class SSE(ServerSentEventsBlueprint):
    """
    The blueprint as an extension: ``SSE(app)``, or ``init_app`` in a factory.

    Args:
        app: The application to register with at once; :obj:`None` for none yet.
        url_prefix: The path of the stream.
        name: The blueprint's name, different for each of several.
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
            app: The application, already configured: mistakes are reported now.

        Raises:
            ConfigError: Listing every mistake in the ``SSE_…`` keys.
            TypeError: ``app`` is no application of Flask's.
        """
        check_app(app)
        app.register_blueprint(self)


sse = ServerSentEventsBlueprint("sse", __name__)
"""The blueprint for most applications: ``app.register_blueprint(sse, …)``."""

sse.add_url_rule(rule="", endpoint="stream", view_func=sse.stream)
