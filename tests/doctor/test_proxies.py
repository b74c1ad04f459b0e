"""The doctor names what is wrong with other proxies than nginx, and nothing in sound ones."""

import contextlib
import ssl

import pytest

from examining import IN_VAIN, PAGE, ills_of_all
from proxies import _APACHE, is_open, recipe, running
from redises import certificates
from servers import free_port, gunicorn, serving, until

OWN = {"origin": PAGE}
WITH_BROKER = {"origin": PAGE, "broker": "{storage}"}

# (name, the backend's lines, options of the doctor, what it finds)
HAPROXY = [
    ("sound", "", WITH_BROKER, {}),
    ("compressing", "compression algo gzip\ncompression type text/event-stream", WITH_BROKER, {}),
    ("buffering", "http-response wait-for-body time 99s", IN_VAIN, {"head": "broken"}),
    ("silence", "timeout server 1s", {"wait_seconds": None}, {"idle-timeout": "broken"}),
    ("id", "http-request del-header Last-Event-ID", OWN, {"resume": "broken"}),
    ("cors", f"http-response add-header Access-Control-Allow-Origin {PAGE}", OWN, {"cors": "broken"}),
    ("preflight", "http-request deny deny_status 405 if METH_OPTIONS", OWN, {"preflight": "warning"}),
    ("control", "http-response del-header Cache-Control", OWN, {"cache-control": "warning"}),
    ("away", "server-template away 1 127.0.0.1:{nowhere}", OWN, {"unavailable": "broken"}),
]  # fmt: skip
_HAPROXY = """
global
    maxconn 500
defaults
    mode http
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
    retries 0
frontend web
    bind 127.0.0.1:{port}
    use_backend %[path,field(2,/)]
"""
_BACKEND = """
backend {name}
    http-request set-path /stream
    {lines}
"""
CADDY = [
    ("sound", "reverse_proxy 127.0.0.1:{up}", WITH_BROKER, {}),
    ("compressing", "encode gzip\nreverse_proxy 127.0.0.1:{up}", WITH_BROKER, {}),
    ("type", "reverse_proxy 127.0.0.1:{up} {{\nheader_down Content-Type application/json\n}}", OWN | IN_VAIN, {"content-type": "broken"}),
    ("id", "reverse_proxy 127.0.0.1:{up} {{\nheader_up -Last-Event-ID\n}}", OWN, {"resume": "broken"}),
    ("cors", "reverse_proxy 127.0.0.1:{up} {{\nheader_down -Access-Control-Allow-Origin\n}}", OWN, {"cors": "broken"}),
    ("away", "reverse_proxy 127.0.0.1:{nowhere}", OWN, {"unavailable": "broken"}),
]  # fmt: skip
_CADDY = """{{
	admin off
	auto_https off
	storage file_system {folder}/caddy
	grace_period 1s
	servers 127.0.0.1:{limited} {{
		timeouts {{
			write 3s
		}}
	}}
}}
http://127.0.0.1:{port} {{
	bind 127.0.0.1
	{sites}
}}
http://127.0.0.1:{limited} {{
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:{up}
}}
https://127.0.0.1:{tls} {{
	bind 127.0.0.1
	tls {crt} {key}
	reverse_proxy 127.0.0.1:{up}
}}
"""
APACHE = [
    ("sound", "", WITH_BROKER, {}),
    ("silence", "timeout=1", {"wait_seconds": None}, {"idle-timeout": "broken"}),
    ("id", "RequestHeader unset Last-Event-ID", OWN, {"resume": "broken"}),
    ("cors", f"Header always add Access-Control-Allow-Origin {PAGE}", OWN, {"cors": "broken"}),
    ("public", 'Header set Cache-Control "public, max-age=60"', OWN, {"cache-control": "warning"}),
    ("type", "Header unset Content-Type", OWN | IN_VAIN, {"content-type": "broken"}),
    ("guarded", "Require method GET", OWN, {"preflight": "warning"}),
    ("nobody", "Require all denied", OWN, {"status": "broken"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """A server, and what the configurations refer to."""
    folder = tmp_path_factory.mktemp("proxies")
    env = {"APP_SSE_HEARTBEAT_SECONDS": "2"}
    with serving(gunicorn("doctored:app", "--workers", "2"), folder, env=env) as server:
        files = certificates(folder / "tls")
        yield {
            "folder": folder, "up": server.port, "storage": server.storage, "nowhere": free_port(),
            "crt": files["one.crt"], "key": files["one.key"], "ca": files["ca.crt"],
        }  # fmt: skip


@contextlib.contextmanager
def listening(*command, port):
    with running(*command):
        until(lambda: is_open(port))
        yield


def options(url, given, values):
    return {"url": url} | {
        key: value.format(**values) if isinstance(value, str) else value
        for key, value in given.items()
    }


def check(rows, port, values):
    found = ills_of_all(
        {
            name: options(f"http://127.0.0.1:{port}/{name}/stream?channel={name}", given, values)
            for name, _, given, _ in rows
        }
    )  # fmt: skip
    assert found == {name: expected for name, _, _, expected in rows}


def test_haproxy(values, tmp_path):
    """Each backend of one HAProxy."""
    port = free_port()
    path = tmp_path / "haproxy.cfg"
    backends = [
        _BACKEND.format(name=name, lines="\n    ".join(lines.format(**values).splitlines()))
        + ("" if name == "away" else f"    server one 127.0.0.1:{values['up']}\n")
        for name, lines, _, _ in HAPROXY
    ]
    path.write_text("".join([_HAPROXY.format(port=port), *backends]))

    with listening("haproxy", "-db", "-f", path, port=port):
        check(HAPROXY, port, values)


def test_caddy(values, tmp_path):
    """Each path of one Caddy, and a server with a limit of the whole time."""
    port, limited, tls = free_port(), free_port(), free_port()
    sites = "\n".join(
        f"handle_path /{name}/* {{\n{text.format(**values)}\n}}"
        for name, text, _, _ in CADDY
    )
    path = tmp_path / "Caddyfile"
    path.write_text(
        _CADDY.format(sites=sites, port=port, limited=limited, tls=tls, **values)
    )
    secure = ssl.create_default_context(cafile=values["ca"])
    streams = {
        "limited": {"url": f"http://127.0.0.1:{limited}/stream", "patient_seconds": 6},
        "http-2": {"url": f"https://127.0.0.1:{tls}/stream", "context": secure},
        "no-tls": {"url": f"http://127.0.0.1:{tls}/stream"},
    }

    with listening("caddy", "run", "--adapter", "caddyfile", "--config", path, port=tls):
        check(CADDY, port, values)
        assert ills_of_all(streams) == {
            "limited": {"time-limit": "warning"},
            "http-2": {},
            "no-tls": {"plain-to-tls-port": "broken"},
        }


def test_apache(values, tmp_path):
    """Each location of one Apache."""
    port = free_port()
    proxied = []
    for name, text, _, _ in APACHE:
        option = text if "=" in text and " " not in text else ""
        lines = "" if option else text
        # Apache shares the options of what has the same address.
        host = "localhost" if option else "127.0.0.1"
        proxied.append(
            f"<Location /{name}/>\n{lines}\n"
            f"ProxyPass http://{host}:{values['up']}/ {option}\n</Location>"
        )
    path = tmp_path / "apache.conf"
    path.write_text(_APACHE.format(folder=tmp_path, port=port, text="\n".join(proxied)))

    with listening("apache2", "-D", "FOREGROUND", "-f", path, port=port):
        check(APACHE, port, values)


@pytest.mark.parametrize("name", ["nginx", "caddy", "haproxy", "apache"])
def test_recipes(values, tmp_path, name):
    """Nothing is wrong with the documentation's own; and with the application away, neither."""
    with recipe(name, tmp_path, f"127.0.0.1:{values['up']}") as proxy:
        up = options(f"{proxy.url}/stream", WITH_BROKER, values) | {
            "context": proxy.context
        }
        found = ills_of_all({"up": up})
    with recipe(name, tmp_path, f"127.0.0.1:{values['nowhere']}") as proxy:
        away = {"url": f"{proxy.url}/stream", "context": proxy.context}
        found |= ills_of_all({"away": away})

    assert found == {"up": {}, "away": {"retry-answer": "warning"}}
