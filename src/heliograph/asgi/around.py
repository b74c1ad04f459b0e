"""The outermost place of an application of Starlette's, around all of its middleware."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["Layer", "put_around"]


class Layer:
    """
    An ASGI application of ours around another one.

    Args:
        inner: What is inside.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner


def put_around(scope: Any, kind: type[Layer]) -> bool:
    """
    Put a layer around the middleware of the application that a scope belongs to.

    ``add_middleware`` cannot: Starlette puts what answers to unhandled exceptions outside
    of it, and what is added later as well. It takes effect with the next request.

    Args:
        scope: Of a connection that has come through the application.
        kind: The layer. It is put there once at most.

    Returns:
        Whether there is such an application.
    """
    app = scope.get("app")
    # Whoever has such an application has imported it.
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
