"""Each finding is explained under its own anchor."""

import ast
import re
from pathlib import Path

import pytest

from heliograph.documentation import DOCUMENTATION

ROOT = Path(__file__).parent.parent.parent
MAKERS = {"fine", "warning", "broken", "skipped"}


def codes():
    """The codes of all findings in the source."""
    for path in (ROOT / "src/heliograph/doctor/checks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS) or (
                isinstance(node, ast.Call) and getattr(node.func, "id", "") == "make"
            ):
                yield node.args[0].value


@pytest.mark.once
def test_each_finding_has_its_anchor():
    """And no other heading looks like a finding."""
    page = (DOCUMENTATION / "doctor.md").read_text()

    assert set(re.findall("^### (.*)$", page, re.MULTILINE)) == set(codes())


@pytest.mark.once
def test_links_within_pages_lead_somewhere():
    """The anchors of other pages and of its own."""
    page = (DOCUMENTATION / "doctor.md").read_text()
    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", page):
        text = (DOCUMENTATION / (file or "doctor.md")).read_text()
        headings = re.findall("^#+ (.*)$", text, re.MULTILINE)
        anchors = {
            re.sub("[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings
        }
        assert anchor in anchors, (file, anchor)
