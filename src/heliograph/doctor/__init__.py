"""
Why does nothing arrive: examine a stream from outside, as a browser meets it.

:func:`examine` collects what can be seen, :func:`judge` says what it means. Needs the extra
``cli``.
"""

from __future__ import annotations

try:
    import h11  # noqa: F401 - to name the extra if it is missing
except ModuleNotFoundError as error:  # pragma: no cover - tests have it
    raise ModuleNotFoundError(
        "the doctor needs h11: pip install 'heliograph[cli]'", name=error.name
    ) from error

from .checks import judge
from .examination import examine
from .finding import Finding, Verdict
from .target import Target

__all__ = ["Finding", "Target", "Verdict", "examine", "judge"]
