"""The event source for threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx2

from .carrying import Hooks, check_client, with_params
from .observed import Observed
from .settings import Settings
from .sync_reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from .actions import Target
    from .carrying import Renewal
    from .events import MessageEvent, Opening
    from .reconnect import Reconnect
    from .settings import Timeout

__all__ = ["EventSource"]


class EventSource(Observed):
    """
    The events of a stream, for as long as it lasts, over all reconnects.

    It behaves as the ``EventSource`` of browsers (WHATWG HTML section 9.2): it reconnects
    after an end and after errors of the network, and resumes after the last id. The
    iteration ends when the server has no more events (status 204) and after
    :meth:`close`::

        for event in EventSource("https://app.example/stream?channel=news"):
            print(event.json())

    A connection is opened when the iteration begins. Leaving a ``with`` block closes it;
    so does dropping the event source. ``docs/client.md`` has more examples.

    Args:
        url: The address of the stream.
        last_event_id: The id to begin after, as :attr:`last_event_id` of a former event
            source; :obj:`None` to begin where the server lets new clients begin.
        headers: Fields of each request, beside ``Accept``, ``Cache-Control`` and
            ``Last-Event-ID``.
        auth: Credentials, as the HTTP library takes them: a pair of user and password, or
            an ``httpx2.Auth``. They are not sent to another origin after a redirect.
        params: Parameters to add to the query.
        method: The method of each request.
        json: The body of each request, which is encoded as JSON; not with GET.
        timeout: Longest time in seconds without a byte until the server counts as lost,
            the head included; :obj:`None` for any time. ``"heartbeats"`` is three
            intervals of the heartbeats that a stream of Heliograph names, 300 seconds for
            other streams, and 60 seconds for the head.
        reconnect: Whether to reconnect: :obj:`True`, :obj:`False`, or a
            :class:`~heliograph.client.Reconnect` that also says how. :obj:`None` means
            always with GET, and with other methods once the stream has sent an id: a
            repeated POST may have effects.
        client: An ``httpx2.Client`` to send requests with; it is not closed.
            :obj:`None` for one of this event source's own.
        renew: Called before each reconnect with the :class:`~heliograph.client.Target` as
            given or renewed; returns another one, or its address, or :obj:`None` for no
            change. For tokens and signed addresses. An ``OSError`` that it raises counts as
            a failed attempt.
        max_event_bytes: Largest event in bytes.
        on_open: Called with an :class:`~heliograph.client.Opening` for each connection
            that is accepted.
        on_error: Called before each wait for a reconnect, with the error (:obj:`None`
            after the end of a stream) and the seconds until the next attempt.
        on_close: Called once when the event source has ended for good, if it was iterated
            over.

    Raises:
        ConfigError: An argument is wrong.
        InvalidFieldError: No stream can send ``last_event_id``.

    Iterating raises:

    - :class:`~heliograph.errors.StreamRefusedError`: the server has answered with another
      status or content type.
    - :class:`~heliograph.errors.ConnectionLostError`: the connection has failed, and
      ``reconnect`` allows no further attempt.
    - :class:`~heliograph.errors.EventTooLargeError`: an event is larger than
      ``max_event_bytes``.
    - What the functions of the caller raise.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        params: Any = None,
        method: str = "GET",
        json: Any = None,
        timeout: Timeout = "heartbeats",
        reconnect: bool | Reconnect | None = None,
        client: httpx2.Client | None = None,
        renew: Callable[[Target], Renewal] | None = None,
        max_event_bytes: int = 16 * 1024 * 1024,
        on_open: Callable[[Opening], object] | None = None,
        on_error: Callable[[Exception | None, float], object] | None = None,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        check_client(client, httpx2.Client)
        settings = Settings.of(
            with_params(url, params),
            last_event_id=last_event_id,
            headers=headers,
            method=method,
            json=json,
            timeout=timeout,
            reconnect=reconnect,
            max_event_bytes=max_event_bytes,
        )
        hooks = Hooks(auth, renew, on_open, on_error, on_close)
        self._reading = Reading(settings, client, hooks)
        super().__init__(self._reading)
        # It refers to the reading and not to this object: an event source that is dropped
        # is collected at once, and the generator's end closes the connection.
        self._events = self._reading.events()

    def __iter__(self) -> Iterator[MessageEvent]:
        # A generator is faster than a method for each event.
        return self._events

    def __next__(self) -> MessageEvent:
        return next(self._events)

    def close(self) -> None:
        """
        End the iteration and close the connection, from any thread.

        Returns at once. A thread that iterates meanwhile gets no further event; while it
        opens a connection it takes some seconds to notice. Closing again does nothing.
        """
        self._reading.watch.close()
        thread = self._reading.thread
        if thread and thread is not threading.current_thread() and thread.is_alive():
            # It leaves the generator, and closes, by itself. While it was closed here, that
            # thread's request for the next event would fail: a generator runs only once.
            return
        try:
            self._events.close()
        except ValueError as error:
            # In a callback this is within the generator, which ends after it. Other errors
            # are those of on_close.
            if str(error) != "generator already executing":
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
