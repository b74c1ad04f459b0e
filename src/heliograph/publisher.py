"""
Publishing from any program: a worker, a cron job, a shell, a script.

A publisher has all verbs of the faces, and serves no streams. It shares the channels with
the application by the URL.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .brokers import check_url
from .config import HubConfig
from .errors import ConfigError
from .faces import dumps_json
from .faces.async_verbs import AsyncVerbs
from .faces.loop_hub import LoopHub
from .faces.relative_file import warn_of_relative_file
from .faces.verbs import Verbs, VerbsOf
from .hub import HubThread
from .servers.log_once import warn_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .hub import Hub

__all__ = ["AsyncPublisher", "Publisher"]

_log = logging.getLogger("heliograph.events")


class Publisher(Verbs):
    """
    The verbs for any thread of any program: a Celery or RQ worker, a cron job, a script.

    Nothing is opened before it is needed, so a publisher may be a global variable of a
    module that is imported before a fork; each child opens its own connection. It can be
    used in threads, greenlets of gevent and eventlet, and signal handlers. What it has
    opened is closed when the process ends, or by :meth:`close`, or as a block::

        with Publisher("redis://localhost:6379/0") as publisher:
            publisher.publish({"percent": 50}, channel="job:7", retain=True)

    Args:
        url: Where the channels live; the same as that of the application
            (see :func:`heliograph.brokers.open_broker`). Not ``memory:``, which no other
            process shares, except in tests. A relative SQLite file is below the current
            folder; for Flask it is below the instance folder, so write it absolute.
        config: Limits and timings; those that concern channels should be the application's.
        dumps: Encodes data that is not a str as JSON; :obj:`None` for :func:`json.dumps`
            without NaN.

    Raises:
        ConfigError: An argument is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        config: HubConfig | None = None,
        dumps: Callable[[Any], str] | None = None,
    ) -> None:
        _check(url, config, dumps)
        warn_of_relative_file(url)
        if url == "memory:":
            warn_once(
                _log,
                "a publisher in memory",
                "Publisher('memory:') publishes to this object alone: give it the URL that"
                " the application has, a file or a Redis",
            )
        self._hub = HubThread(url, config or HubConfig())
        self._dumps = dumps or dumps_json

    def close(self) -> None:
        """
        Close what was opened. Using the publisher again opens it again.

        Raises:
            BrokerUnavailableError: Storage has not finished what had begun within five
                seconds.
        """
        self._hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _verbs(self) -> VerbsOf:
        return VerbsOf(self._hub, self._dumps)


class AsyncPublisher(AsyncVerbs):
    """
    The verbs for a program on an event loop of asyncio: a bot, a consumer of a queue.

    It is opened when it is first needed, and belongs to that loop::

        async with AsyncPublisher("redis://localhost:6379/0") as publisher:
            await publisher.publish({"percent": 50}, channel="job:7", retain=True)

    Args:
        url: As for :class:`Publisher`.
        config: Likewise.
        dumps: Likewise.

    Raises:
        ConfigError: An argument is wrong.
    """

    __slots__ = ("__weakref__", "_dumps", "_hub")

    def __init__(
        self,
        url: str,
        *,
        config: HubConfig | None = None,
        dumps: Callable[[Any], str] | None = None,
    ) -> None:
        _check(url, config, dumps)
        self._hub = LoopHub(url, config or HubConfig())
        self._dumps = dumps or dumps_json

    async def close(self) -> None:
        """
        Close what was opened. Using the publisher again opens it again.

        Raises:
            RuntimeError: It is in use on another loop.
        """
        await self._hub.close()

    async def __aenter__(self) -> Self:
        """Open the broker, so that a mistake shows at start."""
        await self._hub.opened()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def _opened(self) -> Hub:
        return await self._hub.opened()


def _check(url: str, config: object, dumps: object) -> None:
    problems = []
    if not isinstance(config, HubConfig | None):
        problems.append(f"config must be a HubConfig, not {config!r}")
    if dumps is not None and not callable(dumps):
        problems.append(f"dumps must be a function, not {dumps!r}")
    if problems:
        raise ConfigError(problems)
    check_url(url)
