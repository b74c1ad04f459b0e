"""The applications whose files a page of the documentation shows."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"

# The name of a file, and the block that follows it.
_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# Its application, whose clients do not wait before they reconnect.
IMPATIENT = """from app import app

app.config["SSE_RETRY_MS"] = 100
"""


def write_files(page, folder):
    """
    Write the files that a page shows, as they stand there, and ``impatient.py``.

    Args:
        page: The path of the page below ``docs``.
        folder: The folder for the files, which is created.

    Returns:
        The folder.
    """
    found = _FILE.findall((DOCS / page).read_text())
    assert found, page
    for name, text in found:
        path = folder / name
        assert not path.exists(), f"{page} shows {name} twice"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "impatient.py").write_text(IMPATIENT)
    return folder
