"""The lock held while something is made that there is one of for each application."""

from __future__ import annotations

import os
import threading

__all__ = ["making"]

making = threading.RLock()

# A fork waits for it, or the child would inherit it held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=making.acquire,
        after_in_parent=making.release,
        after_in_child=making.release,
    )
