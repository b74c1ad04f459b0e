"""nchan: a module of nginx, in C, with its messages in shared memory."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from .base import Hub, Running, Started, debian, free_ports, install_debian, together

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Sequence

MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"
# One worker, without a log of requests. A stream begins with what is published next, unless
# it resumes: by default it would get all that is stored. Publishers keep their connection
# for longer than 1,000 requests. Publishing answers without a body.
CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
{user}
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {descriptors}; multi_accept on; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 75;
    client_body_buffer_size 256k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 1G;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /stream {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_channel;
            nchan_channel_id_split_delimiter ",";
            nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id $arg_channel;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 1h;
        }}
        location = /plain {{ return 200 "plain"; }}
    }}
}}
"""


class NchanRunning(Running):
    """Nchan that runs. Several channels are one argument, with commas."""

    def stream_request(
        self, channel: str | Sequence[str] = "a", last_event_id: str | None = None
    ) -> bytes:
        """Return the request of an EventSource."""
        return self.stream_of(
            f"/stream?channel={','.join(together(channel))}", last_event_id
        )


class Nchan(Hub):
    """nginx with the module as Debian has them, one worker beside its master."""

    @property
    def name(self) -> str:
        """Return the name with the package's version."""
        shown = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        found = re.search(r"[\d.]+\d", shown.rpartition(":")[2])
        return f"nchan {found[0]} (C)" if found else "nchan (C)"

    def why_missing(self) -> str | None:
        """Return why it cannot be had."""
        return debian("libnginx-mod-nchan", "nginx")

    def set_up(self) -> None:
        """Install nginx and the module."""
        install_debian("nginx", "libnginx-mod-nchan")

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:
        """Yield nginx."""
        (port,) = free_ports()
        yield start_nginx(
            folder, CONFIGURATION, port=port, descriptors=streams + 1000, module=MODULE
        )
        yield NchanRunning(port)


def start_nginx(folder: pathlib.Path, configuration: str, **values: object) -> Started:
    """Return an nginx that was started with a configuration, filled in."""
    # A worker of root's would become another user, who may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(configuration.format(folder=folder, user=user, **values))
    return Started(["nginx", "-p", folder, "-c", path, "-e", "stderr"], folder)
