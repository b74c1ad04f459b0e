"""
The options of :func:`.cross_origin`, and how they are found for a request.

They are found before the view is called, so that preflights are answered, and errors get
their headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from flask import Request, current_app

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RouteOptions", "endpoint_of", "options_of_view"]

# The attribute of a decorated view that holds its RouteOptions.
_ATTRIBUTE = "_heliograph_cross_origin"


class RouteOptions:
    """
    The options of one use of :func:`.cross_origin`. Compared by identity.

    Args:
        options: The options as they were written.
    """

    is_used = False
    """Whether any view of this process has options of its own."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        RouteOptions.is_used = True

    def attach_to(self, function: Callable[..., Any]) -> None:
        """
        Attach the options to a function, from which they are read for each request.

        Args:
            function: A view, or a decorator that is in a list of a class-based view.
        """
        setattr(function, _ATTRIBUTE, self)


def options_of_view(view: Any, method: str) -> RouteOptions | None:
    """
    Return the options of the outermost decorator of a view that has any.

    Args:
        view: The view.
        method: The method of the request.
    """
    own = _options_of(view)
    view_class = getattr(view, "view_class", None)
    if own is not None or view_class is None:
        return own
    name = method.lower()
    if name == "head" and not hasattr(view_class, name):
        # Flask answers HEAD with get() then.
        name = "get"
    # Of Flask-RESTful and Flask-RESTX, which apply them within each request, the last as
    # the outermost. Flask-RESTful also has a dict of methods.
    decorators = getattr(view_class, "method_decorators", ())
    if isinstance(decorators, Mapping):
        decorators = decorators.get(name, ())
    if not isinstance(decorators, list | tuple):
        decorators = ()
    for function in (*reversed(decorators), getattr(view_class, name, None)):
        own = _options_of(function)
        if own is not None:
            break
    return own


def _options_of(function: Any) -> RouteOptions | None:
    # Some objects have every attribute, such as mocks.
    own = getattr(function, _ATTRIBUTE, None)
    return own if isinstance(own, RouteOptions) else None


def endpoint_of(request: Request, method: str) -> str | None:
    """
    Return the endpoint that a request would have with another method, if any.

    Args:
        request: The current request.
        method: The other method, or that of the request.
    """
    if method == request.method and request.routing_exception is None:
        return request.endpoint
    path = request.path
    # One redirect (to the slash), and one method that the route lacks: no more can follow.
    for _ in range(3):
        try:
            adapter = current_app.create_url_adapter(request)
            assert adapter is not None  # noqa: S101 - there is a request to make it of
            endpoint: str = adapter.match(path, method=method)[0]
        except RequestRedirect as redirect:
            path = unquote(urlsplit(redirect.new_url).path)
            path = "/" + path.removeprefix(request.root_path).lstrip("/")
        except MethodNotAllowed as error:
            # Not by chance: the order of a set differs between processes.
            method = min(error.valid_methods or ["GET"])
        except HTTPException:
            # No route, a host that is not trusted, or the route of a WebSocket.
            break
        else:
            return endpoint
    return None
