"""
The name of an application that is used as an endpoint.

Frameworks take an object for an endpoint, and tools around them were written for functions:
they ask it for ``__name__`` (slowapi, for each request) or copy what ``functools.wraps``
copies.
"""

from __future__ import annotations

__all__ = ["name_as_function"]


def name_as_function(app: object) -> None:
    """
    Set the attributes of a name that functions have and instances lack.

    The name is that of the class, with which Starlette names a route whose endpoint has no
    name. ``__module__`` and ``__doc__`` are found in the class.

    Args:
        app: An ASGI application that may be the endpoint of a route.
    """
    kind = type(app)
    # Of the instance: in a class body __qualname__ is the name of the class itself.
    vars(app).update(__name__=kind.__name__, __qualname__=kind.__qualname__)
