"""The ways of serving on which clients are tried."""

import contextlib
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fetched import modules, program
from proxies import recipe
from servers import NO_TAKE_OVER, gunicorn, hypercorn, serving, uvicorn

_PAGES = Path(__file__).parent / "pages"

# A stream that is not taken over holds a thread as long as it is there.
_GTHREAD = gunicorn("clients_wsgi:app", "--worker-class", "gthread", "--threads", "100")
_ENV = {
    "APP_SSE_URL": "memory:",
    # Heartbeats come while clients are watched.
    "APP_SSE_HEARTBEAT_SECONDS": "1",
    "APP_SSE_RETRY_MS": "200",
}
_BLOCKS = {"APP_SSE_COMPRESSION": "blocks"}
_WINDOW = {"APP_SSE_COMPRESSION": "shared-window"}


@dataclass(frozen=True)
class Way:
    """
    A way of serving.

    ``name``: as the table has it; ``command``: of the server; ``env``: for its application;
    ``behind_nginx``: whether clients go through the proxy of the documentation; ``gzip``:
    whether they ask for it; ``is_first``: whether what does not depend on the way is tried.
    """

    name: str
    command: list
    env: dict = field(default_factory=dict)
    behind_nginx: bool = False
    gzip: bool = False
    is_first: bool = False


# Add a row, not a test.
WAYS = [
    Way("gunicorn", _GTHREAD, is_first=True),
    Way("generator", _GTHREAD, NO_TAKE_OVER),
    Way("uvicorn", uvicorn("clients_asgi:app")),
    Way("hypercorn", hypercorn("clients_asgi:app")),
    Way("nginx", _GTHREAD, behind_nginx=True),
    Way("gunicorn with gzip", _GTHREAD, _BLOCKS, gzip=True),
    Way("gunicorn with a window", _GTHREAD, _WINDOW, gzip=True),
    Way("generator with gzip", _GTHREAD, {**NO_TAKE_OVER, **_WINDOW}, gzip=True),
    Way("uvicorn with gzip", uvicorn("clients_asgi:app"), _WINDOW, gzip=True),
    Way("hypercorn with gzip", hypercorn("clients_asgi:app"), _WINDOW, gzip=True),
    Way("nginx with gzip", _GTHREAD, _WINDOW, behind_nginx=True, gzip=True),
]


class Served(NamedTuple):
    """A way that is being served: its server, and the port and the scheme for clients."""

    way: Way
    server: object
    port: int
    scheme: str


@contextlib.contextmanager
def served(way, folder, files):
    """
    Serve one way.

    ``folder``: for a folder of its own; ``files``: the one with pages and modules.
    """
    own = folder / re.sub(r"\W+", "-", way.name)
    own.mkdir()
    env = {**_ENV, **way.env, "PAGES": str(files)}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(way.command, own, env=env))
        if not way.behind_nginx:
            yield Served(way, server, server.port, "http")
            return
        upstream = f"127.0.0.1:{server.port}"
        proxy = stack.enter_context(recipe("nginx", own, upstream, grace_seconds=1))
        yield Served(way, server, proxy.port, "https")


def trust(folder):
    """
    The environment in which each client trusts the certificates of the proxies.

    ``folder``: the one that has those of all ways.
    """
    bundle = folder / "trusted.crt"
    bundle.write_text("".join(one.read_text() for one in folder.glob("*/tls/ca.crt")))
    names = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
    return dict.fromkeys(names, str(bundle))


def browser_files(folder):
    """Put together what pages are made of; return the version of each package."""
    folder.mkdir()
    shutil.copytree(_PAGES, folder / "pages")
    versions = modules(folder / "modules")
    # npm has only an old release of Datastar. Another package ships the current one.
    core = program("starhtml", "js/datastar-core.js", folder / "wheel")
    (folder / "modules" / "datastar").mkdir()
    shutil.copy(core, folder / "modules" / "datastar")
    versions["datastar"] = re.search(r"Datastar v(\S+)", Path(core).read_text())[1]
    return versions
