"""Only channels that are listed are exchanged, and never those that are others' business."""

import dataclasses

import pytest

from heliograph import ConfigError
from heliograph.brokers import PlainChannels, open_broker
from heliograph.brokers.plain import with_plain_channels
from heliograph.brokers.redis import Address

# Names, a channel, whether it is exchanged. Add a row, not a test.
CHANNELS = [
    ("sse", "sse", True),
    ("sse", "sse2", False),
    (["sse", "chat"], "chat", True),
    (("sse", "chat"), "ssechat", False),
    ("chat-*", "chat-", True),
    ("chat-*", "chat-1-2", True),
    ("chat-*", "a-chat-1", False),
    ("*-chat", "1-chat", True),
    ("a*b*c", "a-b-b-c", True),
    ("a*b*c", "a-c-b", False),
    ("a*a", "a", False),
    ("s.e", "sse", False),
    ("[a-z]*", "sse", False),
    ("*_*", "__keyspace@0__:user:1", False),
    ("*_*", "__keyevent@0__:set", False),
    ("_*", "__redis__:invalidate", False),
    ("_*", "__sentinel__:hello", False),
    ("_*", "__mine", True),
    ("*:*", "shop:{news}:live", False),
    ("*:*", "{news}:live", False),
    ("*:*", "shop:alive", False),
    ("*:*", "shop:news:live", True),
]


@pytest.mark.parametrize(("names", "channel", "exchanged"), CHANNELS)
def test_includes(names, channel, exchanged):
    """A star stands for any text; everything else stands for itself."""
    assert PlainChannels(names).includes(channel) is exchanged


# Names, what is said. Add a row, not a test.
MISTAKES = [
    ("*", "'*' would let visitors listen to all of that Redis: write names"),
    ("**", "'**' would let visitors"),
    ("", "'' is no channel: it must not be empty; write a name"),
    ([], "no channel is named"),
    (True, "True is no channel: it must be str, not bool"),
    (["sse", 5], "5 is no channel: it must be str, not int"),
    (b"sse", "b'sse' is no channel: it must be str, not bytes; write a name, as in"),
    (bytearray(b"sse"), "bytearray(b'sse') is no channel: it must be str, not bytearray"),
    ("a\nb", "must not contain control characters"),
    ("x" * 256, "must be at most 255 bytes"),
    ("__keyspace@0__:*", "'__keyspace@0__:*' is never exchanged"),
    ("__sentinel__:hello", "is never exchanged"),
    ("heliograph:{news}:live", "is never exchanged"),
    ("heliograph:alive", "is never exchanged"),
]


@pytest.mark.parametrize(("names", "said"), MISTAKES)
def test_mistakes(names, said):
    """Each is named when the value is made, with what to write instead."""
    with pytest.raises(ConfigError) as caught:
        PlainChannels(names)

    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_built_once(monkeypatch):
    """Names are a tuple, equal for equal names; a publish makes no matchers anew."""
    plain = PlainChannels(name for name in ("sse", "chat-*"))

    assert plain.names == ("sse", "chat-*")
    assert plain == PlainChannels(["sse", "chat-*"]) != PlainChannels("sse")
    assert repr(plain) == "PlainChannels(names=('sse', 'chat-*'), format='flask-sse')"
    assert hash(plain) == hash(PlainChannels(("sse", "chat-*")))
    monkeypatch.delattr("heliograph.brokers.plain.Stars")
    assert plain.includes("chat-1")


def test_all_mistakes_at_once():
    """None hides another."""
    with pytest.raises(ConfigError) as caught:
        PlainChannels(["*", 5, "sse"], format="json")

    assert len(caught.value.problems) == 3
    assert 'the format must be "flask-sse" or "text", not \'json\'' in str(caught.value)


@pytest.mark.parametrize(
    ("url", "plain_channels", "said"),
    [
        ("redis://h", "sse", "plain_channels must be PlainChannels"),
        ("redis://h", True, "not True"),
        ("memory:", PlainChannels("sse"), "plain channels are Redis's, 'memory:' has none"),
    ],
)
def test_mistakes_of_a_broker(url, plain_channels, said):
    """A broker is not made with anything else, nor one that is no Redis."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url, plain_channels=plain_channels)

    assert said in str(caught.value)


# Names that mean something in URLs, or in the options of one. Add a row, not a test.
@pytest.mark.parametrize(
    "names",
    [
        ["sse"],
        ["sse", "chat-*"],
        ["a&b=c;d"],
        ["a b+c%20d"],
        ["?#/@:"],
        ["\u00e4\U0001f310"],
    ],
    ids=["one", "two", "separators", "blanks", "delimiters", "unicode"],
)
@pytest.mark.parametrize("plain_format", ["flask-sse", "text"])
@pytest.mark.parametrize(
    "url", ["redis://u:p@h/1?replicas=1", "unix:///s", "redis+cluster://h"]
)
def test_options_of_the_url(url, names, plain_format):
    """The argument and the options say the same; nothing else of the URL changes."""
    plain = PlainChannels(names, format=plain_format)

    found = Address.parse(with_plain_channels(url, plain))

    assert found.plain_channels == plain
    assert dataclasses.replace(found, plain_channels=None) == Address.parse(url)
    assert open_broker(url, plain_channels=plain)._address.plain_channels == plain


# (URL, what the message says).
MISTAKES_IN_URLS = [
    ("redis://h?plain_format=text", "plain_format needs the option plain_channel"),
    ("redis://h?plain_channel=a&plain_format=json", "format must be"),
    ("redis://h?plain_channel=*", "'*' would let visitors listen to all of that Redis"),
    ("redis://h?plain_channel=", "'' is no channel: it must not be empty"),
    ("redis://h?plain_channels=a", "did you mean plain_channel?"),
    ("redis://h?plain_channel=a&plain_format=text&plain_format=text", "is named twice"),
    ("sqlite:///x?plain_channel=a", "the option 'plain_channel' does not exist"),
    ("memory:?plain_channel=a", "nothing may follow the colon"),
]


@pytest.mark.parametrize(("url", "said"), MISTAKES_IN_URLS)
def test_mistakes_in_urls(url, said):
    """Options are checked as the value is."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url)

    assert said in str(caught.value)


def test_two_formats():
    """An argument does not silently replace the format that the URL names."""
    url = "redis://h?plain_channel=a&plain_format=text"

    with pytest.raises(ConfigError, match="plain_format is named twice"):
        open_broker(url, plain_channels=PlainChannels("b"))
