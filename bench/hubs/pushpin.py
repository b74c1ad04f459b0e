"""Pushpin: a proxy that holds streams for an application, in C++ and Rust."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

from .base import (
    Hub,
    Running,
    Started,
    debian,
    event_data,
    free_ports,
    install_debian,
    request,
)
from .nchan import start_nginx

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

# Its limit of 2,500 messages a second, each delivery being one, is lifted, not raised: any
# rate sends in batches, one each 25 ms. Debian's zurl, which asks the application, is a
# service of the system: here is one of our own.
CONFIGURATION = """\
[global]
include=/usr/lib/pushpin/internal.conf
rundir={folder}
ipc_prefix=bench-
port_offset=0
stats_connection_ttl=120

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}
log_level=1
client_buffer_size=8192
client_maxconn={connections}
condure_bin=condure
zurl_bin=zurl

[proxy]
zurl_out_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in
zurl_out_stream_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in-stream
zurl_in_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-out
routesfile={folder}/routes
sig_key=changeme
updates_check=off

[handler]
push_in_spec=ipc://{{rundir}}/{{ipc_prefix}}push-in
push_in_sub_specs=ipc://{{rundir}}/{{ipc_prefix}}push-in-sub
push_in_http_addr=127.0.0.1
push_in_http_port={publish_port}
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
command_spec=ipc://{{rundir}}/{{ipc_prefix}}command
message_rate=-1
message_hwm=-1
"""
# The application: a static answer that tells pushpin to hold the stream.
ORIGIN = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /stream {{
            default_type text/event-stream;
            add_header Grip-Hold stream;
            add_header Grip-Channel $arg_channel;
            return 200 ":\\n\\n";
        }}
    }}
}}
"""


class PushpinRunning(Running):
    """
    Pushpin that runs.

    Events are published on another port, which closes the connection after each call.
    """

    def publish_request(self, channel: str = "a", padding: int = 40) -> bytes:
        """Return a call of its control API: the bytes of the event are content in JSON."""
        content = f"data: {event_data(padding)}\n\n"
        item = {"channel": channel, "formats": {"http-stream": {"content": content}}}
        return request("POST", "/publish/", json.dumps({"items": [item]}))


class Pushpin(Hub):
    """
    Pushpin with all of its processes and its application on the core.

    When many streams are opened at once, messages between its processes overtake each other
    ("received message out of sequence") and it cancels the streams: of 256 in flight about
    a third got 500 or 502, of 64 or fewer all were opened, of 32 all 10,000.
    """

    # It asks the application what a client has missed, and this one does not know.
    resumes = False

    @property
    def name(self) -> str:
        """Return the name with the package's version."""
        shown = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Version}", "pushpin"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        found = re.match(r"[\d.]+", shown)
        return f"Pushpin {found[0]} (C++, Rust)" if found else "Pushpin (C++, Rust)"

    def why_missing(self) -> str | None:
        """Return why it cannot be had."""
        return debian("pushpin", "pushpin")

    def set_up(self) -> None:
        """Install it, and nginx for the application."""
        install_debian("nginx", "pushpin", "condure", "zurl")

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:
        """Yield the application and pushpin's runner, which starts the rest."""
        port, publish_port, origin_port = free_ports(3)
        (folder / "routes").write_text(f"* 127.0.0.1:{origin_port}\n")
        configuration = folder / "pushpin.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=port,
                publish_port=publish_port,
                connections=streams + 1000,
            )
        )
        yield start_nginx(folder, ORIGIN, port=origin_port)
        yield Started(["pushpin", f"--config={configuration}"], folder)
        yield PushpinRunning(port, publish_port)
