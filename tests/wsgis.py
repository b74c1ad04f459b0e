"""A connection and a request as a WSGI server has them."""

import contextlib
import socket


@contextlib.contextmanager
def connected():
    """Yield the client's and the server's end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        client.settimeout(5)
        yield client, accepted


def environ(key=None, value=None, **changes):
    """Return what a server says of a GET request, with its own key for the connection."""
    own = {} if key is None else {key: value}
    return {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"} | own | changes


def changes_hands(connection, client, accepted):
    """Check that we write to the client, and that whatever the server does hits the dummy."""
    number = accepted.fileno()

    assert connection.may_be_taken
    taken, dummy = connection.take_over()

    with taken:
        assert accepted.fileno() == number
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\nfrom the server")
        dummy.close()
        accepted.shutdown(socket.SHUT_RDWR)
        accepted.close()
        taken.sendall(b"from us")
        assert client.recv(99) == b"from us"
        client.sendall(b"to us")
        assert taken.recv(99) == b"to us"


def comes_back(connection, client, accepted):
    """Check that the server gets its connection again, with all that it has written."""
    taken, dummy = connection.take_over()
    accepted.sendall(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")

    connection.give_back(taken, dummy)

    accepted.sendall(b"written later")
    accepted.shutdown(socket.SHUT_WR)
    got = b""
    while data := client.recv(99):
        got += data
    assert got == b"HTTP/1.1 500 Internal Server Error\r\n\r\nwritten later"
