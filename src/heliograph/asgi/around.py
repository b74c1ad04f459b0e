"""The outermost place of an application of Starlette's, around all of its middleware."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["put_around"]


def put_around(scope: Any, kind: type[Any]) -> bool:
    """
    Put something around the middleware of the application that a scope belongs to.

    ``add_middleware`` cannot: Starlette puts what answers to unhandled exceptions outside
    of it, and what is added later as well. It takes effect with the next request.

    Args:
        scope: Of a connection that has come through the application.
        kind: A class of ASGI applications, made with what it is put around. Is put there
            once at most.

    Returns:
        Whether there is such an application.
    """
    app = scope.get("app")
    # Whoever has such an application has imported it.
    module = sys.modules.get("starlette.applications")
    if module is None or not isinstance(app, module.Starlette):
        return False
    stack = app.middleware_stack
    if stack is not None and not isinstance(stack, kind):
        app.middleware_stack = kind(stack)
    return True
