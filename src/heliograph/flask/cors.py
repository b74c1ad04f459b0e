"""
CORS for Flask: what Flask-CORS offers, under the same names.

This module is what an application uses. :mod:`.cors_options` turns options into rules,
:mod:`.cors_rules` finds the rule that applies to a request, and :mod:`.cors_hooks` applies
it.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Never, TypeVar, Unpack

from werkzeug.local import LocalProxy

from flask import Blueprint, Flask, appcontext_pushed, has_request_context

from ..errors import CorsConfigError
from .cors_blueprint import add_to_blueprint
from .cors_config import named_by_key, options_of_config
from .cors_forms import kept
from .cors_hooks import cors_of, is_found, warn_if_not_found
from .cors_options import (
    CorsOptions,
    CrossOriginOptions,
    check_options,
    make_rules,
)
from .cors_routes import RouteOptions

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["CORS", "cross_origin"]

# What to write for an application of ASGI, by the package that its class comes from.
_POLICY = "CorsPolicy(origins=['https://app.example'])"
_OF_ASGI = {
    "quart": ("Quart", f"app.asgi_app = CORSMiddleware(app.asgi_app, {_POLICY})"),
    "starlette": (
        "Starlette and FastAPI",
        f"app.add_middleware(CORSMiddleware, policy={_POLICY})",
    ),
}

_View = TypeVar("_View", bound="Callable[..., Any]")


class CORS:
    """
    Allow pages of other origins to use an application or a blueprint.

    ``CORS(app)``, or ``cors = CORS()`` and ``cors.init_app(app)``. Options are taken from
    the resource, else from :meth:`init_app`, else from the constructor, else from the
    application's configuration (``CORS_ORIGINS`` and so on; not for a blueprint).

    Args:
        app: The application or the blueprint.
        misplaced: Not allowed. Write each option by its name.
        options: The options of :class:`~heliograph.cors.CorsPolicy`, as in Flask-CORS:
            ``origins`` is ``"*"`` and ``send_wildcard`` :obj:`False` if not given, ``"*"``
            in ``allow_headers`` covers ``Authorization``, ``methods`` may be in lower
            case, ``methods`` and ``expose_headers`` may be texts with commas, and
            ``max_age`` a :class:`~datetime.timedelta`. Two more: ``resources``, the paths
            that the options are for, as a list, or as a dict with options of each;
            ``intercept_exceptions``, whether the response to an unhandled exception gets
            the headers.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe.
    """

    def __init__(
        self,
        app: Flask | Blueprint | None = None,
        *misplaced: Never,
        **options: Unpack[CorsOptions],
    ) -> None:
        _check_misplaced("CORS(app, origins=[…])", misplaced)
        self._options = kept(options)
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask | Blueprint, *misplaced: Never, **options: Unpack[CorsOptions]
    ) -> None:
        """
        Allow pages of other origins to use an application or a blueprint.

        Args:
            app: An application, configured already, or a blueprint that is not
                registered yet.
            misplaced: Not allowed. Write each option by its name.
            options: They take precedence over those of the constructor.

        Raises:
            CorsConfigError: Listing every option that is unknown, wrong or unsafe. Also
                raised when a blueprint is registered below a prefix that a resource of its
                own cannot have.
            TypeError: ``app`` is neither an application nor a blueprint of Flask, or an
                option was given without its name.
        """
        _check_misplaced("init_app(app, origins=[…])", misplaced)
        if isinstance(app, LocalProxy):
            app = app._get_current_object()  # noqa: SLF001 - Flask documents it for this
        given = {**self._options, **kept(options)}
        if isinstance(app, Flask):
            of_config = options_of_config(app.config)
            try:
                rules = make_rules({**of_config, **given})
            except CorsConfigError as error:
                names = of_config.keys() - given.keys()
                raise CorsConfigError(named_by_key(error.problems, names)) from None
            cors_of(app).rules.add(rules, given)
        elif isinstance(app, Blueprint):
            rules = make_rules(given, for_what="blueprint")
            app.record(functools.partial(add_to_blueprint, rules))
        else:
            raise TypeError(_hint(app))


def cross_origin(
    *misplaced: Never, **options: Unpack[CrossOriginOptions]
) -> Callable[[_View], _View]:
    """
    Allow pages of other origins to use a route: a decorator, below ``@app.route``.

    It takes precedence over :class:`CORS`, for every response that the route may give:
    errors, redirects to it, and methods that it does not have, too. Decorators between
    the two must use :func:`functools.wraps`. It may also be listed in ``decorators`` of a
    class-based view, and in ``method_decorators`` of Flask-RESTful and Flask-RESTX.

    Args:
        misplaced: Not allowed. Write each option by its name.
        options: The options of :class:`CORS` except ``resources`` and
            ``intercept_exceptions``. One more: ``automatic_options``, whether preflights
            are answered before the view.

    Returns:
        The decorator. The view may be ``async``.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe. What
            depends on the application's configuration is raised at the route's first
            request, before the view.
        TypeError: An option was given without its name.
    """
    _check_misplaced("@cross_origin(origins=[…])", misplaced)
    given = kept(options)
    check_options(given)
    # A decorator does not know its application. The signal comes before the first request,
    # and so before the first preflight.
    appcontext_pushed.connect(cors_of)

    own = RouteOptions(given)

    def decorate(view: _View) -> _View:
        # Within a request: by the dispatch of a class-based view, or by a lazy import.
        is_late = has_request_context()
        return view if is_late and is_found(own) else _marked(view, own, is_late=is_late)

    own.attach_to(decorate)
    return decorate


def _marked(view: _View, own: RouteOptions, *, is_late: bool) -> _View:
    """Return a new function with options: the view may serve another route as well."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def marked(*arguments: Any, **named: Any) -> Any:
            if is_late:
                warn_if_not_found(own)
            return await view(*arguments, **named)
    else:

        @functools.wraps(view)
        def marked(*arguments: Any, **named: Any) -> Any:
            if is_late:
                warn_if_not_found(own)
            return view(*arguments, **named)

    own.attach_to(marked)
    return marked  # type: ignore[return-value]  # it takes and returns the same


def _check_misplaced(line: str, misplaced: tuple[object, ...]) -> None:
    """Raise an error if there are options without a name; the line is what to write."""
    if misplaced:
        raise TypeError(f"{misplaced[0]!r}: options are passed by name; write {line}")


def _hint(app: object) -> str:
    """Return a message that an object is not one of Flask."""
    message = f"CORS() takes an application or a blueprint of Flask, not {app!r}"
    # By name: what the application does not use is not imported.
    packages = {base.__module__.partition(".")[0] for base in type(app).__mro__}
    for package, (name, line) in _OF_ASGI.items():
        if package in packages:
            return (
                f"{message}. For {name}, write: from heliograph.asgi import CORSMiddleware;"
                f" from heliograph.cors import CorsPolicy; {line}"
            )
    return f"{message}; write CORS(app), where app = Flask(…)"
