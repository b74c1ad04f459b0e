"""The lock held while an object is created of which each application has only one."""

from __future__ import annotations

import os
import threading

__all__ = ["creation_lock"]

creation_lock = threading.RLock()

# A fork waits for it. Otherwise the child could inherit it held, by a thread that it does
# not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=creation_lock.acquire,
        after_in_parent=creation_lock.release,
        after_in_child=creation_lock.release,
    )
