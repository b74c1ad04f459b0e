"""
The name of an application that is used as an endpoint.

Frameworks take an object for an endpoint, and tools around them were written for functions:
they ask it for ``__name__`` (slowapi, for each request) or copy what ``functools.wraps``
copies.
"""

from __future__ import annotations

__all__ = ["NamedAsFunction"]

_NAMES = frozenset({"__name__", "__qualname__"})


class NamedAsFunction:
    """
    An instance with the attributes of a name that functions have: those of its class.

    Starlette names a route in the same way if its endpoint has no name. ``__module__`` and
    ``__doc__`` are found in the class as they are.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> str:
        """Return a name; called for what is not found otherwise."""
        if name in _NAMES:
            return str(getattr(type(self), name))
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
        )
