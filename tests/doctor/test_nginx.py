"""The doctor names the culprit in each nginx that breaks streams, and nothing in sound ones."""

import ssl

import pytest

from examining import IN_VAIN, PAGE, ills_of_all
from proxies import is_open, nginx
from redises import certificates
from servers import free_port, gunicorn, serving, until

# (name, what the location has, options of the doctor, what it finds)
PASS = "proxy_pass http://127.0.0.1:{up}/stream;"
OWN = {"origin": PAGE}
WITH_BROKER = {"origin": PAGE, "broker": "{storage}"}
ROWS = [
    # Sound ones.
    ("defaults", PASS, WITH_BROKER, {}),
    ("credentials", PASS, WITH_BROKER | {"credentials": True}, {}),
    ("own-headers", PASS, OWN | {"headers": (("Authorization", "Bearer x"),)}, {}),
    ("heartbeats", PASS, {"wait_seconds": None}, {}),
    ("http-1.1", PASS + 'proxy_http_version 1.1; proxy_set_header Connection "";', WITH_BROKER, {}),
    ("gzip", PASS + "gzip on; gzip_proxied any; gzip_types *;", WITH_BROKER, {}),
    ("unbuffered", PASS + "proxy_ignore_headers X-Accel-Buffering; proxy_buffering off;", WITH_BROKER, {}),
    ("no-cache-for-it", PASS + "proxy_cache c; proxy_cache_valid any 1m;", WITH_BROKER, {}),
    # What holds events back.
    ("buffering", PASS + "proxy_ignore_headers X-Accel-Buffering;", WITH_BROKER | IN_VAIN,
     {"buffering": "broken", "accel-buffering": "warning"}),
    ("buffering-unseen", PASS + "proxy_ignore_headers X-Accel-Buffering;", OWN | IN_VAIN, {"head": "broken"}),
    ("gzip-buffering", PASS + "proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_proxied any; gzip_types *;",
     WITH_BROKER | IN_VAIN, {"buffering": "broken", "accel-buffering": "warning"}),
    ("cuts-silence", PASS + "proxy_read_timeout 1s;", {"wait_seconds": None}, {"idle-timeout": "broken"}),
    # What changes the head.
    ("type", PASS + "proxy_hide_header Content-Type; add_header Content-Type text/plain;", OWN | IN_VAIN, {"content-type": "broken"}),
    ("no-control", PASS + "proxy_hide_header Cache-Control;", OWN, {"cache-control": "warning"}),
    ("public", PASS + "proxy_hide_header Cache-Control; expires 1h;", OWN, {"cache-control": "warning"}),
    ("no-cors", PASS + "proxy_hide_header Access-Control-Allow-Origin;", OWN, {"cors": "broken"}),
    ("cors-twice", PASS + f"add_header Access-Control-Allow-Origin {PAGE};", OWN, {"cors": "broken"}),
    ("cors-star", PASS + "proxy_hide_header Access-Control-Allow-Origin; add_header Access-Control-Allow-Origin *;",
     OWN | {"credentials": True}, {"cors": "broken"}),
    ("other-page", PASS, {"origin": "https://other.example"}, {"cors": "broken"}),
    ("no-credentials", PASS + "proxy_hide_header Access-Control-Allow-Credentials;", OWN | {"credentials": True}, {"cors": "broken"}),
    # Preflights.
    ("preflight-guarded", PASS + "if ($request_method = OPTIONS) {{ return 401; }}", OWN, {"preflight": "warning"}),
    ("preflight-guarded-for-headers", PASS + "if ($request_method = OPTIONS) {{ return 401; }}",
     OWN | {"headers": (("X-Key", "secret"),)}, {"preflight": "broken"}),
    ("preflight-lacks", PASS + "proxy_hide_header Access-Control-Allow-Headers; add_header Access-Control-Allow-Headers Authorization;",
     OWN, {"preflight": "warning"}),
    ("preflight-answered-by-proxy", PASS + f"""if ($request_method = OPTIONS) {{{{
        add_header Access-Control-Allow-Origin {PAGE}; add_header Access-Control-Allow-Headers Content-Type; return 204; }}}}""",
     OWN, {"preflight": "warning"}),
    # Ids.
    ("id-dropped", PASS + 'proxy_set_header Last-Event-ID "";', OWN, {"resume": "broken"}),
    # Other answers.
    ("redirect", "return 307 /defaults;", {}, {"redirect": "warning"}),
    ("redirect-lacks-cors", "return 307 /defaults;", OWN, {"redirect": "warning", "cors": "broken"}),
    ("redirect-with-cors", f"add_header Access-Control-Allow-Origin {PAGE}; return 307 /defaults;", OWN, {"redirect": "warning"}),
    ("redirect-to-other", "return 302 http://127.0.0.1:{other}/stream;", OWN,
     {"redirect": "warning", "redirect-origin": "warning", "cors": "broken"}),
    ("redirect-without-page", "return 302 http://127.0.0.1:{other}/stream;", {}, {"redirect": "warning", "redirect-origin": "warning"}),
    ("redirect-to-tls", "return 301 https://127.0.0.1:{tls}/stream;", {"context": True}, {"redirect": "warning", "redirect-origin": "warning"}),
    ("redirect-loop", "return 302 /redirect-loop;", OWN, {"redirect": "broken"}),
    ("redirect-nowhere", "return 302 ftp://127.0.0.1/;", OWN, {"redirect": "broken"}),
    ("login", "return 302 /accounts/login?next=/stream;", OWN, {"redirect": "warning", "login": "broken"}),
    ("no-login", "return 302 /lessons/blog-index;", OWN, {"redirect": "warning", "status": "broken"}),
    ("login-page", 'default_type text/html; return 200 "<form><input type=password>";', OWN, {"login": "broken"}),
    ("app-page", 'default_type text/html; return 200 "<title>App</title>";', OWN, {"content-type": "broken"}),
    ("not-there", "proxy_pass http://127.0.0.1:{up}/nothing;", OWN, {"status": "broken"}),
    ("method", "limit_except POST {{ deny all; }} proxy_pass http://127.0.0.1:{up}/stream;", OWN, {"status": "broken"}),
    ("too-many", "return 429;", OWN, {"status": "broken"}),
    ("away", "proxy_pass http://127.0.0.1:{nowhere};", OWN, {"unavailable": "broken"}),
    ("away-and-told", 'default_type text/event-stream; add_header Cache-Control no-store; return 200 ":\\nretry: 2000\\n";',
     {}, {"retry-answer": "warning"}),
    ("no-content", "return 204;", OWN, {"channel-ended": "warning"}),
    ("cached", """proxy_pass http://127.0.0.1:{other}/canned; proxy_cache c; proxy_cache_valid any 1m;
        add_header X-Cache-Status $upstream_cache_status;""", {},
     {"cached": "broken", "ends-at-once": "broken", "cache-control": "warning"}),
    ("cached-in-secret", "proxy_pass http://127.0.0.1:{other}/canned; proxy_cache c; proxy_cache_valid any 1m;", {},
     {"cached": "warning", "ends-at-once": "broken", "cache-control": "warning"}),
    ("memory", "proxy_pass http://127.0.0.1:{memory}/stream;", OWN, {"memory": "broken"}),
    ("other-file", PASS, {"broker": "{other_storage}"}, {"storage": "broken"}),
    ("no-file", PASS, {"broker": "sqlite:////nowhere/nothing.sqlite3"}, {"publish": "broken"}),
    ("other-channel", PASS, {"broker": "{storage}", "channel": "other"}, {"publish": "broken"}),
]  # fmt: skip
CONFIGURATION = """
proxy_cache_path {folder}/cache keys_zone=c:1m;
server {{
    listen 127.0.0.1:{port};
    {locations}
    location = /accounts/login {{ default_type text/html; return 200 "<title>Log in</title>"; }}
}}
server {{
    listen 127.0.0.1:{other};
    location = /canned {{ default_type text/event-stream; return 200 "id: 1\\ndata: x\\n\\n"; }}
    location = /stream {{ proxy_pass http://127.0.0.1:{up}; }}
}}
server {{
    listen 127.0.0.1:{tls} ssl http2;
    ssl_certificate {crt}; ssl_certificate_key {key};
    location = /stream {{ proxy_pass http://127.0.0.1:{up}; }}
}}
"""
TLS_ROWS = [
    (
        "sound",
        "https://127.0.0.1:{tls}/stream",
        {"context": True, "broker": "{storage}"},
        {},
    ),
    ("insecure", "https://127.0.0.1:{tls}/stream", {"verify": False}, {}),
    ("unknown-authority", "https://127.0.0.1:{tls}/stream", {}, {"certificate": "broken"}),
    (
        "another-name",
        "https://localhost:{tls}/stream",
        {"context": True},
        {"certificate": "broken"},
    ),
    (
        "tls-to-plain-port",
        "https://127.0.0.1:{port}/stream",
        {},
        {"tls-to-plain-port": "broken"},
    ),
    (
        "plain-to-tls-port",
        "http://127.0.0.1:{tls}/stream",
        {},
        {"plain-to-tls-port": "broken"},
    ),
    ("nobody-listens", "http://127.0.0.1:{nowhere}/stream", {}, {"connection": "broken"}),
    ("no-such-name", "http://nothing.invalid/stream", {}, {"dns": "broken"}),
]


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """An nginx with a location for each row, two servers behind it, and what rows refer to."""
    folder = tmp_path_factory.mktemp("nginx")
    files = certificates(folder / "tls")
    for name in ("one", "other"):
        (folder / name).mkdir()
    with (
        serving(gunicorn("doctored:app", "--workers", "2"), folder / "one", env={"APP_SSE_HEARTBEAT_SECONDS": "2"}) as server,
        serving(gunicorn("doctored:app", "--workers", "4"), folder / "other", env={"APP_SSE_URL": "memory:"}) as memory,
    ):  # fmt: skip
        found = {
            "folder": folder, "up": server.port, "memory": memory.port, "port": free_port(),
            "other": free_port(), "tls": free_port(), "nowhere": free_port(),
            "storage": server.storage, "other_storage": f"sqlite:///{folder}/other.sqlite3",
            "crt": files["one.crt"], "key": files["one.key"],
        }  # fmt: skip
        (folder / "other.sqlite3").touch(mode=0o600)
        locations = "\n".join(
            f"location = /{name} {{ {text.format(**found)} }}" for name, text, _, _ in ROWS
        )
        with nginx(folder, CONFIGURATION.format(locations=locations, **found)):
            until(lambda: is_open(found["tls"]))
            yield found | {"ca": files["ca.crt"]}


def options(url, given, values):
    filled = {
        key: value.format(**values) if isinstance(value, str) else value
        for key, value in given.items()
    }
    if filled.get("context"):
        filled["context"] = ssl.create_default_context(cafile=values["ca"])
    return {"url": url.format(**values), **filled}


def test_each_location(values):
    """What is wrong is found, and nothing else."""
    rows = {
        name: options(f"http://127.0.0.1:{{port}}/{name}?channel={name}", given, values)
        for name, _, given, _ in ROWS
    }

    assert ills_of_all(rows) == {name: expected for name, _, _, expected in ROWS}


def test_each_address(values):
    """Wrong ports and certificates."""
    rows = {name: options(url, given, values) for name, url, given, _ in TLS_ROWS}

    assert ills_of_all(rows) == {name: expected for name, _, _, expected in TLS_ROWS}
