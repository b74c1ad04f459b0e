"""
CORS in a Flask application: where requests are decided, and responses get their headers.

Strategy: two methods of the application are wrapped, ``full_dispatch_request`` and
``handle_exception``. They return every response, whichever hook, view or error made it.
So the headers are added in one function, and no response can miss them. Preflights are
answered there before the application sees them. A third, ``do_teardown_request``, is
wrapped so that hooks run all or not at all: what ``before_request`` would have opened,
``teardown_request`` must not close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, Request, Response, current_app, has_request_context, request

from ..cors.decision import ALLOW_ORIGIN, decide
from ..cors.outcome import Outcome
from ..cors.request import request_from_environ
from ..faces.cors import log_refused_preflight, refuses
from ..faces.creation_lock import the_only
from .cors_response import fields_of, with_fields
from .cors_rules import AppRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..cors.policy import Fields
    from .cors_options import Rule
    from .cors_routes import RouteOptions

__all__ = ["AppCors", "cors_of", "is_found", "warn_if_not_found"]

_EXTENSION = "heliograph.cors"

# The attribute of a request that holds its _Verdict.
_VERDICT = "_heliograph_cors"

# The attribute of a request that the application has not seen, and perhaps never will.
_UNSEEN = "_heliograph_unseen"

_UNDECIDED: Mapping[str, object] = {_VERDICT: None, _UNSEEN: True}

_PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"


class _Verdict(NamedTuple):
    """The rule that applies to a request, and what follows from it."""

    rule: Rule
    outcome: Outcome


class AppCors:
    """
    CORS of one application, installed when it is built.

    Args:
        app: The application.

    Attributes:
        rules: Which rule applies to which request.
    """

    def __init__(self, app: Flask) -> None:
        self.rules = AppRules(app)
        dispatch, handle = app.full_dispatch_request, app.handle_exception
        teardown = app.do_teardown_request

        def full_dispatch_request(*arguments: Any, **named: Any) -> Response:
            current = _current_request()
            # If the decision itself fails, the response to that grants nothing, and no
            # hook has run before it.
            current.__dict__.update(_UNDECIDED)
            if current.method == "OPTIONS":
                answer = self._answer_preflight(current)
                if answer is not None:
                    return answer
            # Decided before the view: an error of the decision must not be found after
            # the view's work is done.
            verdict = self._judge(current)
            del current.__dict__[_UNSEEN]
            response = dispatch(*arguments, **named)
            return response if verdict is None else _finish(response, verdict)

        def handle_exception(*arguments: Any, **named: Any) -> Response:
            response = handle(*arguments, **named)
            current = _current_request()
            if _VERDICT in current.__dict__:
                verdict = current.__dict__[_VERDICT]
            else:
                # It failed before full_dispatch_request: in the session, or in routing.
                verdict = self._judge(current)
            if verdict is None or not verdict.rule.intercept_exceptions:
                return response
            return _finish(response, verdict)

        # The arguments differ between versions of Flask.
        def do_teardown_request(*arguments: Any, **named: Any) -> None:
            if _UNSEEN not in _current_request().__dict__:
                teardown(*arguments, **named)

        app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign]  # see the module's docstring
        app.handle_exception = handle_exception  # type: ignore[method-assign]  # likewise
        app.do_teardown_request = do_teardown_request  # type: ignore[method-assign]  # likewise

    def _answer_preflight(self, current: Request) -> Response | None:
        """Return the response to a preflight; None if the application must respond."""
        preflight = request_from_environ(current.method, current.path, current.environ)
        if not preflight.is_preflight:
            return None
        rule = self.rules.find(current, preflight_for=preflight.request_method)
        if rule is None or not rule.automatic_options:
            return None
        outcome = Outcome(rule.policy, preflight, decide(rule.policy, preflight))
        log_refused_preflight(outcome)
        return _answer(_Verdict(rule, outcome))

    def _judge(self, current: Request) -> _Verdict | None:
        rule = self.rules.find(current)
        if rule is None:
            return None
        asked = request_from_environ(current.method, current.path, current.environ)
        verdict = _Verdict(rule, Outcome(rule.policy, asked, decide(rule.policy, asked)))
        current.__dict__[_VERDICT] = verdict
        return verdict


def cors_of(app: Flask, **_: object) -> AppCors:
    """
    Return CORS of an application, which is installed if it is not yet.

    Args:
        app: The application. Flask's signals pass it with other arguments.
    """
    return the_only(AppCors, app.extensions, _EXTENSION, lambda: AppCors(app))


def is_found(options: RouteOptions) -> bool:
    """
    Return whether the current request was routed to a view with these options.

    Args:
        options: Those of a decorator that is applied within the request.
    """
    return _current_cors().rules.is_found(options, _current_request())


def warn_if_not_found(options: RouteOptions) -> None:
    """
    Log a warning if options have no effect on the current request, if there is one.

    Args:
        options: Those of a decorator that was applied within this or an earlier request.
    """
    if has_request_context():
        _current_cors().rules.warn_if_not_found(options, _current_request())


def _current_cors() -> AppCors:
    return cors_of(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - Flask documents it for this


def _current_request() -> Request:
    # Not the proxy: each access through it costs as much as the whole decision.
    current = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask documents it for this
    assert isinstance(current, Request)  # noqa: S101 - it is what it says
    return current


def _answer(verdict: _Verdict) -> Response:
    """Return a response that the application has no part in."""
    answer = verdict.outcome.answer()
    response = Response(answer.text, answer.status, mimetype="text/plain")
    if not answer.text:
        del response.headers["Content-Type"]
    response.headers.extend(_with_private_network(answer.fields, verdict))
    return response


def _finish(response: Response, verdict: _Verdict) -> Response:
    """Return the application's response, one with more fields, or a refusal instead."""
    headers = fields_of(response)
    # Read once, since getlist() goes through all fields for each name.
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)

    def present(name: str) -> Sequence[str]:
        return found.get(name.lower(), ())

    outcome = verdict.outcome
    if refuses(outcome, present):
        response.close()
        return _answer(verdict)
    fields = _with_private_network(outcome.fields(present), verdict)
    return with_fields(response, headers, fields) if fields else response


def _with_private_network(fields: Fields, verdict: _Verdict) -> Fields:
    rule, (_, asked, decision) = verdict
    if (
        rule.private_network is None
        or decision.reason is not None
        or asked.request_private_network != "true"
        or not any(name == ALLOW_ORIGIN for name, _ in fields)
    ):
        return fields
    # Browsers ask in preflights only; Flask-CORS answers whatever the method.
    allowed = str(rule.private_network).lower()
    others = (field for field in fields if field[0] != _PRIVATE_NETWORK)
    return (*others, (_PRIVATE_NETWORK, allowed))
