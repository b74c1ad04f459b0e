"""An application of ours, with threads that compute: they compete for the interpreter lock."""

import importlib
import os
import sys
import threading


def compute():
    n = 0
    while True:
        n = (n * 1103515245 + 12345) % 2147483648


def begin(threads):
    for _ in range(threads):
        threading.Thread(target=compute, daemon=True).start()


if "APP" in os.environ:
    app = importlib.import_module(os.environ["APP"]).app
    if interval := float(os.environ["SWITCH_INTERVAL"]):
        sys.setswitchinterval(interval)
    begin(int(os.environ["BUSY_THREADS"]))
