"""Channels as values: positions, logs, and feeds of shared blocks. No I/O, no clock."""
