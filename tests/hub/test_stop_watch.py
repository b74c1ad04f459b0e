"""Servers that are asked whether they want to stop, and their streams."""

import pytest

from heliograph.hub import Admission
from heliograph.hub.timings import Timings
from hubs import Recording, opened
from streams import until

QUICK = Timings(stop_look_seconds=0.001)


class Server:
    """Answers whether it wants to stop. Its bound method is another object at each access."""

    def __init__(self):
        self.stops = False
        self.asked = 0
        self.is_broken = False

    def is_stopping(self):
        self.asked += 1
        if self.is_broken:
            raise ZeroDivisionError("a bug of a server")
        return self.stops


def served_by(hub, server):
    """Return the sink and the ticket of a stream that a server serves."""
    ticket, sink = hub.admit(Admission(("a",))), Recording()
    hub.finish_when(ticket, server.is_stopping)
    hub.attach(ticket, sink)
    return sink, ticket


async def looks(server, more):
    """Wait until a server has been asked some more times."""
    enough = server.asked + more
    await until(lambda: server.asked >= enough)


def watch_of(hub):
    return hub._clients._stop_watch


async def test_a_server_that_stops():
    """Its streams finish, and nobody else's."""
    async with opened(timings=QUICK) as hub:
        one, other = Server(), Server()
        stops = [served_by(hub, one)[0] for _ in range(3)]
        stays, _ = served_by(hub, other)

        one.stops = True
        await until(lambda: hub.statistics().subscribers == 1)

        assert [sink.calls for sink in (*stops, stays)] == [["close"]] * 3 + [[]]
        await looks(other, 2)


async def test_a_server_that_stops_already():
    """A stream that begins then finishes as it begins, and nothing watches."""
    async with opened(timings=QUICK) as hub:
        server = Server()
        server.stops = True

        sink, _ = served_by(hub, server)

        assert (sink.calls, sink.data) == (["close"], b"")
        assert not watch_of(hub)._is_watching


async def test_a_server_is_asked_once_for_all_of_its_streams():
    """Callables that are equal answer for the same server."""
    async with opened(timings=QUICK) as hub:
        server, other = Server(), Server()
        for _ in range(50):
            served_by(hub, server)
        served_by(hub, other)
        at_first = server.asked, other.asked

        await looks(other, 3)

        assert at_first == (50, 1)
        assert server.asked - 50 <= other.asked


@pytest.mark.parametrize("end", ["release", "finish"])
async def test_streams_that_end_by_themselves(end):
    """They are forgotten, and the watch ends with the last; the next stream begins it anew."""
    async with opened(timings=QUICK) as hub:
        server = Server()
        for _ in range(2):
            _, ticket = served_by(hub, server)
            assert watch_of(hub)._is_watching

            getattr(hub, end)(ticket)

            assert watch_of(hub)._servers == watch_of(hub)._streams == {}
            await until(lambda: not watch_of(hub)._is_watching)


async def test_a_stream_of_which_two_servers_are_named():
    """The last one answers for it."""
    async with opened(timings=QUICK) as hub:
        first, second = Server(), Server()
        sink, ticket = served_by(hub, first)
        hub.finish_when(ticket, second.is_stopping)
        first.stops = True
        await looks(second, 3)
        assert sink.calls == []

        second.stops = True

        await until(lambda: sink.calls == ["close"])
        assert watch_of(hub)._streams == {}


async def test_a_server_that_cannot_be_asked(caplog):
    """It is asked again, logged once; others are asked all the same."""
    async with opened(timings=QUICK) as hub:
        broken, other = Server(), Server()
        broken.is_broken = True
        late, _ = served_by(hub, broken)
        stops, _ = served_by(hub, other)
        await looks(broken, 3)

        other.stops = True
        await until(lambda: stops.calls == ["close"])
        assert late.calls == []
        broken.is_broken, broken.stops = False, True
        await until(lambda: late.calls == ["close"])

        assert caplog.text.count("cannot ask a server") == 1
        assert watch_of(hub)._silent == set()


async def test_a_server_that_can_never_be_asked():
    """Nothing of it stays when its last stream has left."""
    async with opened(timings=QUICK) as hub:
        broken = Server()
        broken.is_broken = True
        _, ticket = served_by(hub, broken)
        await looks(broken, 2)

        hub.release(ticket)

        assert watch_of(hub)._silent == set()
