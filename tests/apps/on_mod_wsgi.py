"""The application of ``plain.py``, under the name that mod_wsgi looks for."""

from plain import app as application

__all__ = ["application"]
