"""The README's program, in a browser."""

import re
import sys
from pathlib import Path

from browser import chromium
from servers import serving, until

ROOT = Path(__file__).parent.parent.parent


def test_readme_in_a_browser(tmp_path):
    """The example of the README, as it stands there, does what it says."""
    (program,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    (tmp_path / "app.py").write_text(program)
    command = [
        sys.executable,
        "-m",
        "flask",
        "--app",
        str(tmp_path / "app.py"),
        "run",
        "--port",
        "{port}",
    ]
    with serving(command, tmp_path, ready="/") as server, chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/")

        def greeted():
            # Whoever publishes before the page listens has to publish again.
            server.get("/hello", "POST")
            return page.inner_text("#out") == "Hello!"

        until(greeted)
