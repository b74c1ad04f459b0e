"""Marks what Heliograph logs, so that a test can tell it from what a server says."""

import logging
import os

if os.environ.get("MARK_LOG"):
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("HELIOGRAPH %(levelname)s %(message)s"))
    logging.getLogger("heliograph").addHandler(handler)
