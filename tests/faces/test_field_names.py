"""Fields of the query whose names are probably misspelt."""

import string
from itertools import permutations

import pytest

from heliograph import InvalidFieldError
from heliograph.faces.field_names import (
    CHANNEL,
    LAST_EVENT_ID,
    TOKEN,
    check_field_names,
)

# Fields of applications, and of the libraries that pages use.
OTHERS = """
_ t ts v q cb callback datastar csrf_token csrf-token csrfToken _token x_token X-Token xtoken ctoken
access_token accessToken auth_token id_token refresh_token tokenId token_id token_type taken tokyo toker
tokens token1 tokenX
ten tone woken broken api_key apikey key signature nonce since cursor page session user user_id sid
lang locale theme room topic topics stream streams event events type types filter retry id lastId
last_id last last_seen lastSeen lastSeenId lastEvent last_event lastEventAt lastEventTime last_event_time
lastEventDate latestEventId lastMessageId eventId event_id eventid evs_last_event_id evs_preamble
change changed changes chapter chain chains chance chan chant canal cancel panel tunnel kennel flannel
channel_id channelId channel-name channel_type channelling subchannel myChannel filter[channel]
data[token] é 頻道
"""

MISSPELT = {
    CHANNEL: """
    chanel chanell channell channnel chnanel chanenl cahnnel chennel channle channe channl channls
    chamnel channels Channel CHANNEL Channels channe1 chan_nel channel_ channel[] channel[0] channels[]
    channel1 channel_1 channel. ?channel ??channel amp;channel amp;chanel channels[0]
    """,
    LAST_EVENT_ID: """
    lastEventID LastEventId lasteventid last_event_id last-event-id Last-Event-ID lastEventIds last_event_ids
    lastEvenId lastEventd lastEvetnId last_evnt_id lastEventI lastEvntId lasEventId last_eventId
    lastEventId[]
    """,
    TOKEN: "?token amp;token tokken Token TOKEN tokn tokken toke toen token[] token_",
}


def test_names_of_the_application():
    """They may be like ours, and ours may stand beside them."""
    check_field_names([*OTHERS.split(), CHANNEL, LAST_EVENT_ID, TOKEN, ""])


@pytest.mark.parametrize(
    ("name", "ours"), [(name, ours) for ours in MISSPELT for name in MISSPELT[ours].split()]
)
def test_misspelt_names(name, ours):
    """The error names the field, and says what to write."""
    with pytest.raises(InvalidFieldError) as caught:
        check_field_names([CHANNEL, "theme", name])

    assert str(caught.value) == (
        f"invalid query field {name!r}: must be spelled {ours}; if it is the application's"
        " own, its name must differ in more than one letter"
    )


@pytest.mark.parametrize("ours", [CHANNEL, LAST_EVENT_ID])
def test_each_single_mistake(ours):
    """One letter missing, one too many, a wrong one, two exchanged: anywhere but at first."""
    for at in range(1, len(ours)):
        before, letter, rest = ours[:at], ours[at], ours[at + 1 :]
        wrong = [before + rest, before + rest[:1] + letter + rest[1:]]
        wrong += [before + other + rest for other in string.ascii_lowercase]
        wrong += [before + other + letter + rest for other in string.ascii_lowercase]
        for name in {*wrong} - {ours}:
            with pytest.raises(InvalidFieldError):
                check_field_names([name])


def test_names_of_attackers():
    """They may be long, and consist of anything."""
    check_field_names(
        [
            "c" * 1_000_000,
            "?" * 1_000_000,
            "amp;" * 9,
            "c" + "-" * 30 + "hannel",
            "\udcff",
            "\0",
            "C\udcff",
        ]
    )
    check_field_names(f"c{''.join(rest)}" for rest in permutations("aeiouy"))
