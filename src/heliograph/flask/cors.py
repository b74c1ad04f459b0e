"""
CORS for Flask: what Flask-CORS offers, under the same names.

Strategy: two methods of the application are wrapped. What comes out of them is the answer,
whichever hook, view or error made it, so there is one place where headers are added and
none that can be missed. Preflights are answered there before the application sees them.

What applies to a request is looked up by what the request is for: the route's own
:func:`cross_origin`; else the blueprint's :class:`CORS`; else the application's. The first
that has something to say decides.
"""

from __future__ import annotations

import functools
import inspect
import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Unpack
from urllib.parse import unquote, urlsplit

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    appcontext_pushed,
    current_app,
    request,
)

from ..cors import CorsRequest, Decision, decide, missing_vary
from ..cors.decision import ALLOW_ORIGIN
from ..cors.resources import Resources, resolve_dots
from ..errors import CorsConfigError
from .making import making
from .options import (
    CorsOptions,
    CrossOriginOptions,
    Rule,
    check_options,
    kept,
    make_rule,
    make_rules,
    options_of_config,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.blueprints import BlueprintSetupState

    from ..cors.resources import Resource

__all__ = ["CORS", "cross_origin"]

_log = logging.getLogger("heliograph.cors")

_EXTENSION = "heliograph.cors"

# Where a function carries what cross_origin() said of it, and a request what was decided.
_MARK = "_heliograph_cross_origin"
_DECIDED = "_heliograph_cors"

_ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"

_PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"

_View = TypeVar("_View", bound="Callable[..., Any]")


class CORS:
    """
    Let pages of other origins use an application or a blueprint.

    ``CORS(app)``, or ``cors = CORS()`` and ``cors.init_app(app)``. Options are taken from
    the resource, else from :meth:`init_app`, else from the constructor, else from the
    application's configuration (``CORS_ORIGINS`` and so on; not for a blueprint).

    Args:
        app: What to let them use.
        options: Those of :class:`~heliograph.cors.CorsPolicy`, as in Flask-CORS:
            ``origins`` is ``"*"`` and ``send_wildcard`` :obj:`False` if not given, ``"*"``
            in ``allow_headers`` covers ``Authorization``, ``methods`` may be in lower
            case, ``methods`` and ``expose_headers`` may be texts with commas, and
            ``max_age`` a :class:`~datetime.timedelta`. Two more: ``resources``, the paths
            that the options are for, as a list, or as a dict with options of each;
            ``intercept_exceptions``, whether the answer to an unhandled exception gets
            the headers.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe.
    """

    def __init__(
        self, app: Flask | Blueprint | None = None, **options: Unpack[CorsOptions]
    ) -> None:
        self._options = kept(options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask | Blueprint, **options: Unpack[CorsOptions]) -> None:
        """
        Let pages of other origins use an application or a blueprint.

        Args:
            app: An application, configured already, or a blueprint that is not
                registered yet.
            options: They take precedence over those of the constructor.

        Raises:
            CorsConfigError: Listing every option that is unknown, wrong or unsafe.
        """
        given = {**self._options, **kept(options)}
        if isinstance(app, Flask):
            rules = make_rules({**options_of_config(app.config), **given})
            _cors_of(app).add(rules)
        elif isinstance(app, Blueprint):
            rules = make_rules(given)
            app.record(functools.partial(_add_to_blueprint, rules))
        else:
            raise TypeError(f"CORS() takes an application or a blueprint, not {app!r}")


def cross_origin(
    *misplaced: Any, **options: Unpack[CrossOriginOptions]
) -> Callable[[_View], _View]:
    """
    Let pages of other origins use a route: a decorator, below ``@app.route``.

    It takes precedence over :class:`CORS`, for every answer that the route may give:
    errors, redirects to it, and methods that it does not have, too. Decorators between
    the two have to use :func:`functools.wraps`.

    Args:
        misplaced: Options have names.
        options: Those of :class:`CORS` but for ``resources`` and ``intercept_exceptions``.
            One more: ``automatic_options``, whether preflights are answered before the
            view.

    Returns:
        The decorator. The view may be ``async``.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe. What
            depends on the application's configuration shows with the route's first
            request, before the view.
        TypeError: An option was given without its name.
    """
    if misplaced:
        raise TypeError(
            f"cross_origin() takes options by name, not {misplaced[0]!r}: write"
            " @cross_origin(origins=…)"
        )
    given = kept(options)
    check_options(given)
    # Applications are not known yet: they are met when they are used.
    appcontext_pushed.connect(_cors_of)

    def decorate(view: _View) -> _View:
        # A function of its own: the one below may be another route's, too.
        if inspect.iscoroutinefunction(view):

            @functools.wraps(view)
            async def marked(*arguments: Any, **named: Any) -> Any:
                return await view(*arguments, **named)
        else:

            @functools.wraps(view)
            def marked(*arguments: Any, **named: Any) -> Any:
                return view(*arguments, **named)

        setattr(marked, _MARK, _CrossOrigin(given))
        return marked  # type: ignore[return-value]  # it takes and gives the same

    return decorate


class _CrossOrigin:
    """What was said of a route. Compared by identity."""

    is_used = False

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        _CrossOrigin.is_used = True


class _Decided(NamedTuple):
    """What applies to a request, and what follows from it."""

    rule: Rule
    decision: Decision


class _Cors:
    """What was said of an application."""

    def __init__(self, app: Flask) -> None:
        self._resources: Resources[Rule] = Resources()
        # Name, as in endpoints, of each blueprint that has its own, and what its paths
        # begin with.
        self._blueprints: dict[str, Resources[Rule]] = {}
        self._prefixes: dict[str, re.Pattern[str]] = {}
        self._routes: dict[_CrossOrigin, Rule] = {}
        self._config = app.config
        self._views = app.view_functions
        dispatch, handle = app.full_dispatch_request, app.handle_exception

        def full_dispatch_request(*arguments: Any, **named: Any) -> Response:
            asked = _current()
            # Until it is known; if it is the decision that fails, nobody is let in.
            asked.__dict__[_DECIDED] = None
            if asked.method == "OPTIONS":
                answer = self._preflight(asked)
                if answer is not None:
                    return answer
            # Before the view: what goes wrong with the decision must not be found out when
            # the work has been done.
            decided = self._decide(asked)
            response = dispatch(*arguments, **named)
            return response if decided is None else _finish(response, asked, decided)

        def handle_exception(*arguments: Any, **named: Any) -> Response:
            response = handle(*arguments, **named)
            asked = _current()
            if _DECIDED in asked.__dict__:
                decided = asked.__dict__[_DECIDED]
            else:
                # What failed came before: the session, or what finds the route.
                decided = self._decide(asked)
            if decided is None or not decided.rule.intercept_exceptions:
                return response
            return _finish(response, asked, decided)

        app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign]  # see the module's docstring
        app.handle_exception = handle_exception  # type: ignore[method-assign]  # likewise

    def add(self, rules: list[tuple[Resource, Rule]]) -> None:
        self._resources = self._resources.before(rules)

    def add_blueprint(
        self, name: str, prefix: str | None, rules: list[tuple[Resource, Rule]]
    ) -> None:
        self._blueprints[name] = self._blueprints.get(name, Resources()).before(rules)
        if prefix:
            # A variable of the prefix is taken for one segment.
            fixed = map(re.escape, re.split(r"<[^>]*>", prefix.rstrip("/")))
            self._prefixes[name] = re.compile("[^/]+".join(fixed) + r"(?:/|\Z)")

    def _preflight(self, asked: Request) -> Response | None:
        """Answer a preflight, if that is ours to do."""
        preflight = _cors_request(asked)
        if not preflight.is_preflight:
            return None
        rule = self._rule(asked, preflight.request_method)
        if rule is None or not rule.automatic_options:
            return None
        decision = _decide(rule, preflight)
        assert decision.status is not None  # noqa: S101 - preflights always have one
        if decision.reason is not None:
            response = _refusal(decision)
        else:
            response = Response(status=decision.status)
            del response.headers["Content-Type"]
        _apply(response, asked, _Decided(rule, decision))
        return response

    def _decide(self, asked: Request) -> _Decided | None:
        rule = self._rule(asked)
        if rule is None:
            return None
        decided = _Decided(rule, _decide(rule, _cors_request(asked)))
        asked.__dict__[_DECIDED] = decided
        return decided

    def _rule(self, asked: Request, preflight_for: str | None = None) -> Rule | None:
        endpoint = None
        if _CrossOrigin.is_used or self._blueprints:
            # Looked for only if somebody asks: it takes a second look at the routes.
            method = preflight_for or asked.method
            endpoint = _endpoint(asked, method)
            said = _said_of(self._views.get(endpoint or ""), method)
            if said is not None:
                return self._route(said, asked, is_preflight=preflight_for is not None)
        path = asked.path
        rule = self._for_path(path, endpoint)
        resolved = resolve_dots(path)
        if resolved is not path and self._for_path(resolved, endpoint) is not rule:
            # What the path is for depends on who reads it.
            return None
        return rule

    def _route(
        self, said: _CrossOrigin, asked: Request, *, is_preflight: bool
    ) -> Rule | None:
        rule = self._routes.get(said)
        if rule is None:
            problems: list[str] = []
            options = {**options_of_config(self._config), **said.options}
            options.pop("resources", None)
            rule = make_rule(options, problems)
            if rule is None:
                raise CorsConfigError(problems)
            self._routes[said] = rule
        if (
            asked.method == "OPTIONS"
            and not is_preflight
            and not rule.automatic_options
            and getattr(asked.url_rule, "provide_automatic_options", False)
        ):
            # Flask has answered, for a view that wanted to.
            return None
        return rule

    def _for_path(self, path: str, endpoint: str | None) -> Rule | None:
        for name in self._blueprints_of(path, endpoint) if self._blueprints else ():
            rule = self._blueprints[name].find(path)
            if rule is not None:
                return rule
        return self._resources.find(path)

    def _blueprints_of(self, path: str, endpoint: str | None) -> Iterator[str]:
        """Give the blueprints that a request is for, the innermost first."""
        if endpoint is None:
            # No route is there, but it would be the blueprint's.
            by_length = sorted(
                self._prefixes.items(), key=lambda pair: -len(pair[1].pattern)
            )
            for name, prefix in by_length:
                if prefix.match(path):
                    yield name
            return
        name = endpoint.rpartition(".")[0]
        while name:
            if name in self._blueprints:
                yield name
            name = name.rpartition(".")[0]


def _said_of(view: Any, method: str) -> _CrossOrigin | None:
    said: _CrossOrigin | None = getattr(view, _MARK, None)
    if said is None:
        # The method of a class; without one for HEAD that of GET answers.
        view_class = getattr(view, "view_class", None)
        function = getattr(view_class, method.lower(), None)
        if function is None and method == "HEAD":
            function = getattr(view_class, "get", None)
        said = getattr(function, _MARK, None)
    return said


def _cors_of(app: Flask, **_: object) -> _Cors:
    cors = app.extensions.get(_EXTENSION)
    if cors is None:
        with making:
            cors = app.extensions.get(_EXTENSION)
            if cors is None:
                cors = app.extensions[_EXTENSION] = _Cors(app)
    assert isinstance(cors, _Cors)  # noqa: S101 - the key is ours
    return cors


def _add_to_blueprint(
    rules: list[tuple[Resource, Rule]], setup: BlueprintSetupState
) -> None:
    assert isinstance(setup.app, Flask)  # noqa: S101 - blueprints register with nothing else
    name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
    _cors_of(setup.app).add_blueprint(name, setup.url_prefix, rules)


def _current() -> Request:
    # Not the proxy: each look through it costs as much as all that is done with it.
    asked = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask documents it for this
    assert isinstance(asked, Request)  # noqa: S101 - it is what it says
    return asked


def _cors_request(asked: Request) -> CorsRequest:
    environ = asked.environ
    return CorsRequest(
        asked.method,
        asked.path,
        environ.get("HTTP_HOST"),
        environ.get("HTTP_ORIGIN"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK"),
    )


def _decide(rule: Rule, asked: CorsRequest) -> Decision:
    decision = decide(rule.policy, asked)
    if decision.reason is not None:
        _log.debug("refused %s %a: %s", asked.method, asked.path, decision.reason)
    return decision


def _refusal(decision: Decision) -> Response:
    return Response(f"{decision.reason}\n", status=decision.status, mimetype="text/plain")


def _finish(response: Response, asked: Request, decided: _Decided) -> Response:
    """Add to an answer what its page has to be told."""
    if ALLOW_ORIGIN in response.headers:
        return response
    if (
        decided.decision.reason is not None
        and asked.method == "GET"
        and response.mimetype == "text/event-stream"
    ):
        # Nobody would read it, and it would hold its place for as long as the client likes.
        # Only a GET: others have an Origin on pages of our own, too.
        response.close()
        response = _refusal(decided.decision)
    _apply(response, asked, decided)
    return response


def _apply(response: Response, asked: Request, decided: _Decided) -> None:
    rule = decided.rule
    headers = response.headers
    if not isinstance(headers, Headers):
        # Some libraries put a dict there, which holds no name twice.
        headers = response.headers = Headers(headers)
    for name, value in decided.decision.headers:
        if name == "Vary":
            missing = missing_vary(headers.getlist("Vary"), value)
            if missing:
                headers.add("Vary", missing)
        elif name == ALLOW_ORIGIN and _is_opened(headers, rule):
            # Not its own origin to everyone, with credentials that somebody else allows.
            headers[name] = "*"
        else:
            headers[name] = value
    if (
        rule.private_network is not None
        and asked.environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK") == "true"
        and ALLOW_ORIGIN in headers
    ):
        # As Flask-CORS does, whatever the method: browsers ask in preflights only.
        headers[_PRIVATE_NETWORK] = str(rule.private_network).lower()


def _is_opened(headers: Headers, rule: Rule) -> bool:
    policy = rule.policy
    return (
        _ALLOW_CREDENTIALS in headers
        and not policy.supports_credentials
        and policy.compiled.origins.any_origin
    )


def _endpoint(asked: Request, method: str) -> str | None:
    """Give the endpoint that a request is for, were its method another one."""
    if method == asked.method and asked.routing_exception is None:
        return asked.endpoint
    path = asked.path
    # A redirect, and a method that is not there: no more can come between.
    for _ in range(3):
        try:
            adapter = current_app.create_url_adapter(asked)
            assert adapter is not None  # noqa: S101 - there is a request to make it of
            endpoint: str = adapter.match(path, method=method)[0]
        except RequestRedirect as redirect:
            path = unquote(urlsplit(redirect.new_url).path)
            path = "/" + path.removeprefix(asked.root_path).lstrip("/")
        except MethodNotAllowed as error:
            method = next(iter(error.valid_methods or ["GET"]))
        except HTTPException:
            # There is none; or the host is not to be trusted, or it is a WebSocket's.
            break
        else:
            return endpoint
    return None
