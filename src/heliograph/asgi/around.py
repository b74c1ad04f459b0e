"""The outermost layer of a Starlette application, around all of its middleware."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..servers.asgi_types import Scope

__all__ = ["Layer", "put_around"]


class Layer:
    """
    An ASGI application of ours around another one.

    Args:
        inner: The application inside.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner


def put_around(scope: Scope, kind: type[Layer]) -> bool:
    """
    Put a layer around the middleware of the application that a scope belongs to.

    ``add_middleware`` cannot: Starlette puts what answers to unhandled exceptions outside
    of it, and what is added later as well. It takes effect with the next request.

    Args:
        scope: The scope of a connection that has come through the application.
        kind: The layer's class. An application gets one layer of each class at most.

    Returns:
        Whether there is such an application.
    """
    app = scope.get("app")
    # An application of this class can exist only if its module was imported.
    module = sys.modules.get("starlette.applications")
    if module is None or not isinstance(app, module.Starlette):
        return False
    layer = app.middleware_stack
    while isinstance(layer, Layer):
        if isinstance(layer, kind):
            return True
        layer = layer.inner
    if layer is not None:
        app.middleware_stack = kind(app.middleware_stack)
    return True
