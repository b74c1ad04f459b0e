"""Objects of which each application has only one, and the lock while one is created."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

__all__ = ["creation_lock", "the_only"]

_Only = TypeVar("_Only")

creation_lock = threading.RLock()

# A fork waits for it. Otherwise the child could inherit it held, by a thread that it does
# not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=creation_lock.acquire,
        after_in_parent=creation_lock.release,
        after_in_child=creation_lock.release,
    )


def the_only(
    kind: type[_Only],
    objects: MutableMapping[str, object],
    name: str,
    create: Callable[[], _Only],
) -> _Only:
    """
    Return an object of an application, created when it is first needed.

    Args:
        kind: What it is.
        objects: The application's, by name.
        name: Its name. Nobody else uses it.
        create: Returns it. Called once, however many threads come first; again by a signal
            handler that interrupts it, and then one of the two results is dropped.
    """
    found = objects.get(name)
    if found is None:
        with creation_lock:
            found = objects.get(name)
            if found is None:
                # A signal handler may have done the same meanwhile, in this thread.
                found = objects.setdefault(name, create())
    assert isinstance(found, kind)  # noqa: S101 - the name is ours
    return found
