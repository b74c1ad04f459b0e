"""The ``text/event-stream`` format, both halves: bytes and values, no I/O, no clock."""
