"""The ``text/event-stream`` format: bytes and values, nothing else."""
