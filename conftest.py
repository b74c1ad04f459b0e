"""Runs the examples of the README and the documentation as tests."""

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser

from flask import Flask


def _named(namespace):
    # Flask looks for the folder of the module that it is told.
    namespace["__name__"] = "example"


def _close(namespace):
    for value in namespace.values():
        if isinstance(value, Flask) and "heliograph" in value.extensions:
            value.extensions["heliograph"].hub.close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_named,
    teardown=_close,
).pytest()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Examples of a page build on each other: they stay in order."""
    examples = [item for item in items if isinstance(item, SybilItem)]
    tests = [item for item in items if not isinstance(item, SybilItem)]
    examples.sort(key=lambda item: (str(item.path), item.example.line))
    items[:] = tests + examples
