"""
Where channels live.

:func:`open_broker` makes the broker that a URL names, and :func:`inspect_broker` reads what
its storage holds. The other names are what a broker of another package needs
(``docs/brokers.md``); :mod:`heliograph.brokers.contract` tests it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..channels.entry import Entry
from ..channels.position import GapReason, Position
from ..config import HubConfig
from ..errors import ConfigError
from . import policy, registry
from .base import Broker, Listener, PromptBroker
from .epoch import new_epoch
from .inspection import ChannelSummary, Inspectable, Inspection
from .plain import PlainChannels, with_plain_channels
from .registry import BrokerFactory, register_broker
from .url import without_password
from .values import (
    PLAIN,
    Attempt,
    History,
    Retained,
    Retention,
    RetentionPolicy,
    Terms,
    resolve,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "PLAIN",
    "Attempt",
    "Broker",
    "BrokerFactory",
    "ChannelSummary",
    "Entry",
    "GapReason",
    "History",
    "Inspectable",
    "Inspection",
    "Listener",
    "PlainChannels",
    "Position",
    "PromptBroker",
    "Retained",
    "Retention",
    "RetentionPolicy",
    "Terms",
    "check_url",
    "inspect_broker",
    "new_epoch",
    "open_broker",
    "register_broker",
    "resolve",
    "with_plain_channels",
    "without_password",
]

_DEFAULT_RETENTION = policy.policy_of(HubConfig())


def open_broker(
    url: str,
    retention: RetentionPolicy = _DEFAULT_RETENTION,
    *,
    plain_channels: PlainChannels | None = None,
) -> Broker:
    """
    Make the broker that a URL names.

    Nothing is opened before :meth:`Broker.open`, so a broker may be made before a fork.

    Args:
        url: ``memory:``; ``sqlite:///path`` (``sqlite:////path`` if absolute), with
            ``?mode=0660`` to share it with a group (see ``docs/deployment.md``); a Redis
            (see ``docs/redis.md``): ``redis://``, ``rediss://``, ``unix://``,
            ``redis+sentinel://``, ``redis+cluster://``; or a URL with the scheme of another
            package's broker (see ``docs/brokers.md``).
        retention: How much is kept of each channel; as in :class:`~heliograph.HubConfig` by
            default.
        plain_channels: Another way to write the options ``plain_channel`` and
            ``plain_format`` of a Redis's URL; :obj:`None` adds none.

    Returns:
        A broker that is not open yet.

    Raises:
        ConfigError: No broker has this scheme, or the broker refuses the URL; or it is not
            the URL of a Redis and there are plain channels.
    """
    return registry.make_broker(with_plain_channels(url, plain_channels), retention)


def inspect_broker(url: str) -> AbstractAsyncContextManager[Inspection]:
    """
    Return a context in which the storage that a URL names can be inspected.

    ::

        async with inspect_broker("sqlite:////srv/app/events.sqlite3") as storage:
            async for summary in storage.channels("job:"):
                print(summary.name, summary.events)

    Args:
        url: As for :func:`open_broker`, except ``memory:``.

    Raises:
        ConfigError: No broker has this scheme, or the broker refuses the URL, or cannot be
            inspected.
    """
    # How much is kept does not matter: nothing is stored or removed.
    broker = registry.make_broker(url, _DEFAULT_RETENTION)
    inspect = getattr(broker, "inspect", None)
    if inspect is None:
        problem = (
            f"{without_password(url)!r}: this broker cannot be inspected: it lacks the"
            " method inspect() of heliograph.brokers.Inspectable; use a release of its"
            " package that has it, or the storage's own tools"
        )
        raise ConfigError([problem])
    context: AbstractAsyncContextManager[Inspection] = inspect()
    return context


def check_url(url: str) -> None:
    """
    Check a URL without opening anything.

    Args:
        url: As for :func:`open_broker`.

    Raises:
        ConfigError: As :func:`open_broker`.
    """
    registry.make_broker(url, _DEFAULT_RETENTION)
