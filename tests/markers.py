"""Which tests need a server, found out from what their modules and fixtures import."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parent

# The modules that start servers: gunicorn, uvicorn and the like, Redis, proxies, a browser,
# and networks of two machines.
_STARTERS = frozenset({"browser", "networks", "proxies", "redises", "servers"})


def needs_server(namespace):
    """
    Return whether something in a namespace is defined in a module that starts servers.

    What a helper module of the tests imports counts as imported by whoever uses that helper.

    Args:
        namespace: The global names of a module.
    """
    return _needs_server(namespace, set())


def _needs_server(namespace, seen):
    for value in namespace.values():
        # A class or a function, or a module itself. Plain values do not start anything.
        name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
        if not isinstance(name, str) or name in seen:
            continue
        if name in _STARTERS:
            return True
        seen.add(name)
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and _TESTS in Path(file).parents and _needs_server(vars(module), seen):
            return True
    return False
