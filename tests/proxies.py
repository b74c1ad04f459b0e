"""Proxies in their own processes, configured with the files of the documentation."""

import contextlib
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

from redises import certificates
from servers import Stream, free_port, until

_DOCS = Path(__file__).parent.parent / "docs"

# What surrounds the documentation's files, which configure only what concerns the application.
_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_shutdown_timeout {grace_seconds}s;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {text}
}}
"""
# A Caddyfile has one block of global options, and the documentation's file contains it.
_CADDY = """grace_period {grace_seconds}s
	admin off
	auto_https off
	storage file_system {folder}/caddy
"""
_APACHE = """
ServerRoot /usr
ServerName test
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
User nobody
Group nogroup
LoadModule mpm_event_module lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module lib/apache2/modules/mod_authz_core.so
LoadModule headers_module lib/apache2/modules/mod_headers.so
LoadModule proxy_module lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module lib/apache2/modules/mod_proxy_http.so
LoadModule rewrite_module lib/apache2/modules/mod_rewrite.so
LoadModule ssl_module lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:{port}
{text}
"""

# As little as there can be.
_BY_HTTP = "proxy_pass http://127.0.0.1:{upstream};"
BY_UWSGI = "include /etc/nginx/uwsgi_params; uwsgi_pass 127.0.0.1:{upstream};"
_DEFAULTS = """
{extra}
server {{
    listen 127.0.0.1:{port};
    location / {{ {way} }}
}}
"""

_CERTIFICATE = {
    "/etc/ssl/application.crt": "{crt}",
    "/etc/ssl/application.key": "{key}",
}
# For each proxy: its file, texts to replace in it, what to put around it, and its command.
RECIPES = {
    "nginx": (
        "nginx.conf",
        {"listen 443": "listen 127.0.0.1:{port}", "listen [::]:443 ssl http2;": "",
         "server 127.0.0.1:8000": "server {upstream}"}
        | _CERTIFICATE,
        _NGINX,
        ["nginx", "-e", "/dev/null", "-c"],
    ),
    "caddy": (
        "Caddyfile",
        {"example.com {": "https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {crt} {key}",
         "127.0.0.1:8000": "{upstream}", "grace_period 10s\n": _CADDY},
        "{text}",
        ["caddy", "run", "--adapter", "caddyfile", "--config"],
    ),
    "haproxy": (
        "haproxy.cfg",
        {"bind :443": "bind 127.0.0.1:{port}", "/etc/ssl/application.pem": "{both}",
         "hard-stop-after 10s": "hard-stop-after {grace_seconds}s",
         # HAProxy does not start if the limit of descriptors is too low for maxconn.
         "maxconn 10000": "maxconn 500",
         "127.0.0.1:8000": "{upstream}"},
        "{text}",
        ["haproxy", "-db", "-f"],
    ),
    "apache": (
        "apache.conf",
        {"*:443": "127.0.0.1:{port}", "127.0.0.1:8000": "{upstream}",
         "GracefulShutdownTimeout 10": "GracefulShutdownTimeout {grace_seconds}"}
        | _CERTIFICATE,
        _APACHE,
        ["apache2", "-D", "FOREGROUND", "-f"],
    ),
}  # fmt: skip


class Proxy(NamedTuple):
    """A running proxy: its port, the context to reach it with TLS, and its process."""

    port: int
    context: ssl.SSLContext
    process: subprocess.Popen

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"


@contextlib.contextmanager
def recipe(name, folder, upstream, more=None, *, grace_seconds=10, connections=256):
    """
    Run a proxy with the configuration of the documentation, in front of a server.

    Args:
        name: A key of ``RECIPES``.
        folder: A folder for the proxy's files.
        upstream: The address of the server.
        more: Other texts of the configuration, with what replaces them.
        grace_seconds: How long a proxy that stops waits for its streams.
        connections: How many connections an nginx process has at most.
    """
    file, changes, around, command = RECIPES[name]
    port = free_port()
    files = certificates(folder / "tls")
    both = folder / "one.pem"
    both.write_text(files["one.crt"].read_text() + files["one.key"].read_text())
    values = {
        "folder": folder,
        "port": port,
        "upstream": upstream,
        "grace_seconds": grace_seconds,
        "connections": connections,
        "crt": files["one.crt"],
        "key": files["one.key"],
        "both": both,
    }
    text = (_DOCS / file).read_text()
    for before, after in {**changes, **(more or {})}.items():
        assert before in text
        text = text.replace(before, after.format(**values))
    path = folder / file
    path.write_text(around.format(text=text, **values))
    context = ssl.create_default_context(cafile=files["ca.crt"])
    with running(*command, path) as process:
        until(lambda: is_open(port))
        yield Proxy(port, context, process)


@contextlib.contextmanager
def nginx(folder, text):
    """Run nginx with ``text`` in its http block."""
    path = folder / "nginx.conf"
    values = {"grace_seconds": 10, "connections": 256}
    path.write_text(_NGINX.format(folder=folder, text=text, **values))
    with running("nginx", "-e", "/dev/null", "-c", path):
        yield


@contextlib.contextmanager
def nginx_in_front_of(folder, upstream, extra="", *, way=_BY_HTTP):
    """
    Run nginx with its defaults before a server, and what may be added to them.

    ``way``: how nginx reaches the server.
    """
    port = free_port()
    way = way.format(upstream=upstream)
    servers = _DEFAULTS.format(port=port, way=way, extra=extra)
    with nginx(folder, servers):
        until(lambda: answers(port))
        yield port


def answers(port):
    try:
        with Stream(port, "/ping") as answer:
            return answer.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def running(program, *arguments):
    """Run a program that may be in /usr/sbin, which is not in every user's PATH."""
    command = [shutil.which(program) or f"/usr/sbin/{program}", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
