"""What ``heliograph demo`` shows: see :mod:`.run`."""
