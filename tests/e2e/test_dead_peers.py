"""A client whose cable is cut says nothing. It is found out nevertheless."""

import time

import pytest

from networks import PORT, SERVER_ADDRESS, network
from servers import (
    FALLBACK,
    NO_TAKE_OVER,
    TAKEN_OVER,
    publish,
    serving,
    subscribers,
    until,
)

HOSTS = {"uvicorn": "--host", "flask": "--host", "daphne": "--bind"}


def on_address(command):
    """The command line with the server's address in the network instead of loopback."""
    command = [
        part.replace("127.0.0.1:{port}", f"{SERVER_ADDRESS}:{PORT}") for part in command
    ]
    command = [part.replace("{port}", str(PORT)) for part in command]
    if command[2] in HOSTS:
        command += [HOSTS[command[2]], SERVER_ADDRESS]
    return command


@pytest.mark.parametrize("what", ["silent", "busy"])
@pytest.mark.parametrize(
    ("name", "env"),
    [
        pytest.param("gunicorn-gthread", {}, id="gunicorn-gthread"),
        pytest.param("gunicorn-gthread", NO_TAKE_OVER, id="gunicorn-gthread-fallback"),
        pytest.param("gunicorn-gevent", {}, id="gunicorn-gevent"),
        pytest.param("uwsgi-http-socket", {}, id="uwsgi-http-socket"),
        pytest.param("uvicorn-httptools", {}, id="uvicorn-httptools"),
        pytest.param("uvicorn-uvloop", {}, id="uvicorn-uvloop"),
        pytest.param("uvicorn-httptools", NO_TAKE_OVER, id="uvicorn-fallback"),
        pytest.param("gunicorn-asgi", {}, id="gunicorn-asgi"),
        pytest.param("hypercorn", {}, id="hypercorn"),
        pytest.param("daphne", {}, id="daphne"),
    ],
)
def test_a_cable_is_cut(tmp_path, name, env, what):
    """Within a heartbeat and ``dead_peer_seconds``, whether events come or not."""
    heartbeat, dead_peer = 1, 2
    env = {
        **env,
        "APP_SSE_HEARTBEAT_SECONDS": str(heartbeat),
        "APP_SSE_DEAD_PEER_SECONDS": str(dead_peer),
    }
    with network() as net:
        command = net.inside(on_address((TAKEN_OVER | FALLBACK)[name]))
        with serving(command, tmp_path, env=env, port=net.connect_beside) as server:
            stays = server.stream().placed()
            server.port = net.connect_from_afar
            lost = server.stream().placed()
            server.port = net.connect_beside
            assert subscribers(server) == 2
            net.cut()
            began = time.monotonic()
            if what == "busy":
                publish(server, "x")
                assert stays.wait(1)[0].data == "x"
            until(lambda: subscribers(server) == 1)
            # What the documentation promises, with as much again for a slow machine, and more.
            assert time.monotonic() - began < 4 + 2 * (heartbeat + dead_peer)
            publish(server, "y")
            assert stays.wait(2 if what == "busy" else 1)[-1].data == "y"
            lost.close()
