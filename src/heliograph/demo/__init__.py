"""The command ``heliograph demo``: a page, its API, and a ticker. See :mod:`.run`."""
