"""What a type checker says of the client."""

from __future__ import annotations

from typing import assert_type

import httpx2

from heliograph.client import (
    AsyncEventSource,
    EventSource,
    Gap,
    MessageEvent,
    Opening,
    ReadyState,
    Reconnect,
    Target,
)


def opened(opening: Opening) -> None:
    assert_type(opening.url, str)


def in_a_thread() -> None:
    with EventSource(
        "https://app.example/stream",
        params={"channel": "news"},
        timeout=None,
        reconnect=Reconnect(attempts=3),
        renew=lambda target: Target(target.url, {}),
        on_open=opened,
        client=httpx2.Client(),
    ) as source:
        for event in source:
            assert_type(event, MessageEvent)
            assert_type(event.data, str)
            if isinstance(event, Gap):
                assert_type(event.channels, list[str])
        assert_type(source.ready_state, ReadyState)
        assert_type(next(source), MessageEvent)
    EventSource("https://app.example/stream", timeout="heartbeat")  # type: ignore[arg-type]
    EventSource("https://app.example/stream", client=httpx2.AsyncClient())  # type: ignore[arg-type]


async def in_a_loop() -> None:
    async def renew(target: Target) -> str:
        return target.url

    async with AsyncEventSource("https://app.example/stream", renew=renew) as source:
        async for event in source:
            assert_type(event, MessageEvent)
        assert_type(await anext(source), MessageEvent)
