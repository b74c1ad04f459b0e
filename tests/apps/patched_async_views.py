"""The application of ``async_views.py``, in a process that gevent has patched by hand."""

# ruff: noqa: E402 - nothing is imported before it is patched

from gevent import monkey

monkey.patch_all()

from async_views import app  # noqa: F401
