"""The hub for synchronous programs: the process's one loop, in a thread of its own."""
