"""An application that does not want to wait for ever for what it connects to."""

import socket

from plain import app  # noqa: F401 - what is served

socket.setdefaulttimeout(5)
