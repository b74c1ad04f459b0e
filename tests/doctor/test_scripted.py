"""The doctor and servers that no proxy would be: scripted byte for byte, on real sockets."""

import contextlib
import gzip
import socket
import threading
import time

import pytest

from examining import IN_VAIN, ills_of_all
from heliograph.doctor import Target, examine, judge
from heliograph.doctor.connection import connect

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b"id: 7\ndata: x\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def opening(channels, seconds):
    """What no Heliograph sends, under its name."""
    return chunk(
        b"event: heliograph.open\nid: 7\n"
        b'data: {"id": "7", "resumed": false, "channels": %b, "heartbeat_seconds": %b}\n\n'
        % (channels, seconds)
    )


def coded(request):
    """A compressor that flushes nothing, for whoever takes it."""
    if b"Accept-Encoding: gzip" in request:
        return HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    return CHUNKED + chunk(EVENT)


def slowly(request):
    time.sleep(SLOWNESS)
    return SOUND


def for_the_first(request, count):
    return CHUNKED + chunk(EVENT) if count == 1 else b""


SOUND = CHUNKED + chunk(EVENT)
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 23\r\n\r\nHello geheim-1 \x1b[31m\x00!!!"
# Longer than a first event may take, and than a head may take without a remark.
SLOWNESS = 3.2
STAY, CLOSE, ENDLESS = True, False, "endless"
FLOOD = chunk(EVENT * 5_000)
# path -> (what is sent, or a function of the request, whether the connection stays open, what is found)
ROWS = {
    "slow": (slowly, STAY, {"head": "warning"}),
    "sound": (SOUND, STAY, {}),
    "utf-8": (SOUND.replace(b"event-stream", b"event-stream; charset=utf-8"), STAY, {}),
    "flood": (SOUND, ENDLESS, {}),
    "no-channels": (CHUNKED + opening(b"[]", b"15"), STAY, {}),
    "no-time": (CHUNKED + opening(b'["a"]', b"Infinity"), STAY, {}),
    "any-case": (SOUND.replace(b"text/event-stream", b"Text/Event-Stream"), STAY, {}),
    "silent": (CHUNKED, STAY, {}),
    "early-hints": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + SOUND, STAY, {}),
    "without-ids": (CHUNKED + chunk(b"data: x\n\n"), STAY, {"resume": "warning"}),
    "http-1.0": (HEAD.replace(b"1.1", b"1.0") + b"\r\n" + EVENT, STAY, {"http-version": "warning", "framing": "warning"}),
    "not-chunked": (HEAD + b"\r\n" + EVENT, STAY, {"framing": "warning"}),
    "length": (HEAD + b"Content-Length: 999\r\n\r\n" + EVENT, STAY, {"framing": "broken"}),
    "old": (HEAD + b"Age: 7\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(EVENT), STAY, {"cached": "broken"}),
    "no-flush": (coded, STAY, {"compression": "broken"}),
    "not-coded": (HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(EVENT), STAY, {"encoding": "broken"}),
    "twice-coded": (HEAD + b"Content-Encoding: gzip, gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(gzip.compress(EVENT)), STAY, {"encoding": "broken"}),
    "not-asked-for": (HEAD + b"Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"\x0b\x02\x80"), STAY, {"encoding": "broken"}),
    "two-heads": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", STAY, {"http": "broken"}),
    "ends-at-once": (SOUND + b"0\r\n\r\n", CLOSE, {"ends-at-once": "broken", "cached": "warning"}),
    "cut-at-once": (SOUND, CLOSE, {"ends-at-once": "broken", "cached": "warning"}),
    "one-at-a-time": (for_the_first, STAY, {"second-stream": "broken"}),
    "no-answer": (b"", STAY, {"head": "broken"}),
    "hangs-up": (b"", CLOSE, {"http": "broken"}),
    "another-service": (b"SSH-2.0-OpenSSH_9.2\r\n", STAY, {"http": "broken"}),
    "alert": (b"\x15\x03\x01\x00\x02\x02\x46", CLOSE, {"plain-to-tls-port": "broken"}),
    "no-location": (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", STAY, {"status": "broken"}),
    "bad-location": (b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n", STAY, {"redirect": "broken"}),
    "no-type": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", STAY, {"content-type": "broken"}),
    "endless-page": (PAGE.replace(b"Content-Length: 23\r\n", b""), STAY, {"content-type": "broken"}),
}  # fmt: skip


class Scripted:
    """A server with a thread for each connection, which it holds until its client leaves."""

    def __init__(self):
        self.counts = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(1 << 16)
                if not data or data.startswith(b"\x16\x03"):
                    return  # no client of HTTP
                request += data
            name = request.split()[1].decode().partition("?")[0].removeprefix("/")
            self.counts[name] = self.counts.get(name, 0) + 1
            answer, stays, _ = ROWS[name]
            if answer is for_the_first:
                answer = answer(request, self.counts[name])
            elif callable(answer):
                answer = answer(request)
            connection.sendall(answer)
            while stays is ENDLESS:
                connection.sendall(FLOOD)
            while stays and connection.recv(1 << 16):
                pass


@pytest.fixture(scope="module")
def port():
    server = Scripted()
    yield server.port
    # Closing alone would not wake the thread that accepts.
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


def test_each_script(port):
    """What is wrong is found, and nothing else."""
    rows = {name: {"url": f"http://127.0.0.1:{port}/{name}"} | IN_VAIN for name in ROWS}
    rows["slow"]["timeout_seconds"] = 20

    assert ills_of_all(rows) == {name: expected for name, (_, _, expected) in ROWS.items()}


def test_a_dead_address_is_tried_once(port, monkeypatch):
    """A dozen requests would else wait ten seconds each."""
    target = Target(url=f"http://two.example:{port}/sound", **IN_VAIN)
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.9", "127.0.0.1")]  # fmt: skip
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    dead = {}

    seen, first = connect(target.address, target, dead)
    with first, socket.create_server(("127.0.0.9", port)):
        again, second = connect(target.address, target, dead)
    second.close()

    assert [one.peer for one in (seen, again)] == ["127.0.0.1", "127.0.0.1"]
    assert seen.failed == again.failed == (("127.0.0.9", "Connection refused"),)


def test_no_secret_is_shown(port):
    """Neither what was given nor what the server sends back of it; and no control character."""
    target = Target(
        url=f"http://user:geheim-0@127.0.0.1:{port}/endless-page?channel=news&token=geheim-1",
        headers=(
            ("Authorization", "Bearer geheim-2"),
            ("Cookie", "a=geheim-3; b=geheim-4"),
        ),
        **IN_VAIN,
    )
    findings = judge(examine(target))
    text = "\n".join(part for one in findings for part in one)

    assert "Hello" in text
    assert "geheim" not in text
    assert not {"\0", "\x1b"} & set(text)
