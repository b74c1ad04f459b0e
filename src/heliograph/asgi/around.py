"""
The outermost layer of a Starlette application, around all of its middleware.

``add_middleware`` cannot add one: Starlette puts what answers to unhandled exceptions
outside of all middleware, and each call of ``add_middleware`` outside of the earlier ones.

An application builds its middleware when it is first called, and assigns the result to
``middleware_stack``. So :func:`put_around_all` makes that attribute a descriptor of
Starlette's class, which adds the layer to what is assigned. The descriptor has no
``__get__``: reading the attribute costs nothing. An application that was built earlier, or
whose class has a ``middleware_stack`` of its own, gets the layer from :func:`put_around`,
when one of its requests arrives here.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ..servers.asgi_types import Scope

__all__ = ["Layer", "middleware_of", "put_around", "put_around_all", "starlette_app"]

_ATTRIBUTE = "middleware_stack"

# How many objects are looked at, where middleware does not say which one is the next.
_MAX_OBJECTS = 200


class Layer:
    """
    An ASGI application of ours around another one.

    Args:
        app: The application inside. Tools follow this attribute through the middleware of
            an application (FastAPI's telemetry, to find that of OpenTelemetry).
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    @classmethod
    def around(cls, _owner: Any, stack: Any) -> Self:
        """
        Return a layer for an application.

        Args:
            _owner: The Starlette application.
            stack: All of its middleware.
        """
        return cls(stack)


class _MiddlewareStack:
    """
    The attribute ``middleware_stack`` of Starlette applications.

    Args:
        kind: The class of the layer that is added to what is assigned.
    """

    def __init__(self, kind: type[Layer]) -> None:
        self._kind = kind

    def __set__(self, app: Any, stack: Any) -> None:
        # None makes the application build its middleware again. A layer is put_around's.
        if stack is not None and not isinstance(stack, Layer):
            stack = self._kind.around(app, stack)
        vars(app)[_ATTRIBUTE] = stack

    def __delete__(self, app: Any) -> None:
        del vars(app)[_ATTRIBUTE]


def put_around_all(kind: type[Layer]) -> None:
    """
    Put a layer around every Starlette application that is built from now on.

    Does nothing if Starlette was not imported, or if its class has such an attribute
    already, which is another version's or somebody else's.

    Args:
        kind: The layer's class.
    """
    starlette = _starlette()
    if starlette is not None and not hasattr(starlette, _ATTRIBUTE):
        setattr(starlette, _ATTRIBUTE, _MiddlewareStack(kind))


def starlette_app(scope: Scope) -> Any | None:
    """
    Return the innermost Starlette application that a connection has come through.

    Args:
        scope: The scope of the connection.
    """
    app = scope.get("app")
    starlette = _starlette()
    return app if starlette is not None and isinstance(app, starlette) else None


def put_around(app: Any, kind: type[Layer]) -> bool:
    """
    Put a layer around an application that is built, from its next request on.

    Args:
        app: A Starlette application. It gets one layer of each class at most.
        kind: The layer's class.

    Returns:
        Whether it has the layer now. If not, its ``middleware_stack`` is not the attribute
        that Starlette has.
    """
    stack = layer = vars(app).get(_ATTRIBUTE)
    if stack is None:
        return False
    while isinstance(layer, Layer):
        if isinstance(layer, kind):
            return True
        layer = layer.app
    vars(app)[_ATTRIBUTE] = kind.around(app, stack)
    return True


def middleware_of(app: Any, stack: Any) -> Iterator[Any]:
    """
    Yield what the middleware of an application is made of, the outermost first.

    Most keep the next one in ``app``, as Starlette's own. Others have it in another
    attribute, or among the variables of a function.

    Args:
        app: The Starlette application. Its router, and other applications, are not looked
            into.
        stack: All of its middleware.
    """
    starlette = _starlette() or ()
    waiting, seen = [stack], {id(app), id(getattr(app, "router", None))}
    while waiting and len(seen) < _MAX_OBJECTS:
        found = waiting.pop(0)
        if id(found) in seen or isinstance(found, starlette):
            continue
        seen.add(id(found))
        yield found
        waiting += _inside_of(found)


def _inside_of(found: Any) -> list[Any]:
    inner = getattr(found, "app", None)
    if callable(inner):
        return [inner]
    values = [*getattr(found, "__dict__", {}).values()]
    for cell in getattr(found, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # nothing is in it yet
            values.append(cell.cell_contents)
    return [value for value in values if callable(value) and not isinstance(value, type)]


def _starlette() -> type | None:
    # An application of this class can exist only if its module was imported.
    module = sys.modules.get("starlette.applications")
    return getattr(module, "Starlette", None)
