"""
What gunicorn does in all tests, which run it in this folder.

A worker that is aborted because it did not answer for 30 seconds says first where each of its
threads is.
"""

import faulthandler


def worker_abort(worker):
    worker.log.critical("aborted; its threads:")
    faulthandler.dump_traceback()
