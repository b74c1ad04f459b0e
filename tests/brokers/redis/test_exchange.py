"""Plain channels are exchanged with other programs, and never those of Heliograph itself."""

from on_redis import ALL_TEXT, opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from streams import until


async def test_a_channel_with_the_name_of_another_in_redis(server):
    """A stream of it takes nothing from the other, and is given nothing of it."""
    ear = RecordingListener()
    async with opened(server.url, ear, plain_channels=ALL_TEXT) as broker:
        await broker.listen("a")
        for name in ("heliograph:{a}:live", "heliograph:alive"):
            await broker.listen(name)
            broker.unlisten(name)
            await broker.listen(name)

        entries = [await broker.append("a", Event(str(n))) for n in range(3)]

        assert await ear.wait_for_entries(3) == entries
        assert ear.passing == []


async def test_a_plain_channel_that_is_forbidden(own_server, caplog):
    """It is not exchanged, and said once; the others are."""
    ear = RecordingListener()
    with own_server.client() as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "push",
            "on",
            ">secret",
            "~*",
            "+@all",
            "&heliograph:*",
            "&good",
        )
    url = own_server.url.replace("//", "//push:secret@")
    async with opened(url, ear, plain_channels=ALL_TEXT) as broker:
        for name in ("good", "bad", "good2"):
            await broker.listen(name)
        with own_server.client() as client:
            client.publish("good", "from outside")
        await until(lambda: ear.passing)

        assert ear.passing == [("good", Event("from outside"))]
        assert ear.connection == []
    assert caplog.text.count("plain channel 'bad' is not listened to") == 1


async def test_twins_of_who_exchanges_nothing(server):
    """An event of a process without the setting hides none of others' that say the same."""
    ear = RecordingListener()
    async with (
        opened(server.url, ear, plain_channels=ALL_TEXT) as broker,
        opened(server.url) as other,
    ):
        await broker.listen("a")
        entry = await other.append("a", Event("same"))
        assert await ear.wait_for_entries(1) == [entry]
        with server.client() as client:
            client.publish("a", "same")

        await until(lambda: ear.passing)
        assert ear.passing == [("a", Event("same"))]
