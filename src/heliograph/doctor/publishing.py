"""Publishing to the storage of the application, to see when and where an event arrives."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ..brokers.sqlite.url import parse_url
from ..channels.position import Positions
from ..config import HubConfig
from ..errors import ConfigError, HeliographError
from ..faces.request import DEFAULT_CHANNEL
from ..publisher import Publisher
from .observation import Exchange, Padding, Publication

if TYPE_CHECKING:
    from .exchanges import Exchanges, Open
    from .observation import Opened
    from .target import Target

__all__ = ["publish"]

EVENT_TYPE = "heliograph-doctor"
"""The type of what is published. Pages that listen to ``message`` do not see it."""

_YEAR_SECONDS = 366 * 86_400.0
# Whoever publishes to a channel removes what is beyond its own bounds. These remove
# nothing; the application's next publish applies its own.
_BOUNDS = HubConfig(
    history_events=1_000_000_000,
    history_seconds=_YEAR_SECONDS,
    forget_seconds=_YEAR_SECONDS,
    retained_keys=1_000_000_000,
)
_ARRIVAL_SECONDS = 3.0
# A proxy's buffer is 4 or 8 KiB a page, and there may be several.
_PADDINGS = [1 << n for n in range(10, 18)]
_PADDING_SECONDS = 0.5


def publish(
    target: Target, exchanges: Exchanges, streams: list[Open], plain: Open | None
) -> Publication:
    """
    Publish an event, and note when it arrives on each stream.

    If it does not arrive at the first, publish padding of growing size until it does.

    Args:
        target: With the broker's URL.
        exchanges: Those to watch.
        streams: The streams that listen. The first is that of the page.
        plain: The stream that may not be compressed.
    """
    opened = next((one.seen.opened for one in streams if one.seen.opened), None)
    seen = Publication(target.channel or _channel_of(target, opened))
    assert target.broker is not None  # noqa: S101 - as the caller has seen
    try:
        _check_broker(target.broker)
        with Publisher(target.broker, config=_BOUNDS) as publisher:
            position = Positions.parse(publisher.position(seen.channel), (seen.channel,))
            seen.epoch = position[seen.channel].epoch
            if opened is not None and not _may_arrive(seen, streams):
                # It would disturb others, and tell nothing.
                return seen
            seconds = min(_ARRIVAL_SECONDS, target.timeout_seconds)
            _publish_and_watch(publisher, seen, exchanges, streams, plain, seconds=seconds)
    except HeliographError as error:
        seen.failure = str(error)
    return seen


def _publish_and_watch(
    publisher: Publisher,
    seen: Publication,
    exchanges: Exchanges,
    streams: list[Open],
    plain: Open | None,
    *,
    seconds: float,
) -> None:
    everyone = [*streams, *([plain] if plain else [])]
    nonce = secrets.token_hex(8)
    data = {"doctor": nonce}
    before = [one.age() for one in everyone]
    publisher.publish(data, type=EVENT_TYPE, channel=seen.channel)
    exchanges.watch(
        seconds,
        lambda: all(arrival(one.seen, nonce) is not None for one in everyone),
    )
    delays = []
    for one, start in zip(everyone, before, strict=True):
        came = arrival(one.seen, nonce)
        delays.append(None if came is None else max(0.0, came - start))
    seen.delays = tuple(delays[: len(streams)])
    seen.plain_delay = delays[-1] if plain else None
    page = streams[0]
    if seen.delays[0] is not None or not page.is_open:
        return
    total = 0
    for size in _PADDINGS:
        # Random, because a compressor would make nothing of anything else.
        padding = {"doctor": "padding", "ignore": secrets.token_hex(size // 2)}
        publisher.publish(padding, type=EVENT_TYPE, channel=seen.channel)
        total += size
        exchanges.watch(_PADDING_SECONDS, lambda: arrival(page.seen, nonce) is not None)
        if arrival(page.seen, nonce) is not None:
            seen.padding = Padding(total, arrived=True)
            return
    seen.padding = Padding(total, arrived=False)


def _channel_of(target: Target, opened: Opened | None) -> str:
    if opened is not None:
        return opened.channels[0]
    query = dict(reversed(parse_qsl(urlsplit(target.url).query)))
    return query.get("channel", DEFAULT_CHANNEL)


def _may_arrive(seen: Publication, streams: list[Open]) -> bool:
    epochs = [one.seen.epochs for one in streams]
    return any(known.get(seen.channel) == seen.epoch for known in epochs)


def arrival(exchange: Exchange, nonce: str) -> float | None:
    """Return when an event that contains a text came; :obj:`None` if it did not."""
    for seconds, event in exchange.events:
        if nonce in event.data:
            return seconds
    return None


def _check_broker(url: str) -> None:
    if url.startswith("sqlite:"):
        path = Path(parse_url(url)[0])
        # A publisher would create it.
        if not path.exists():
            raise ConfigError(
                [f"there is no file {path.absolute()}: write the one of the application"]
            )
