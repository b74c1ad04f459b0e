"""
What a decision does to a response: the fields to add, and the answers without application.

A face reads a request, obtains an :class:`Outcome`, and then does one of two things:

* For a preflight, and for a stream that the page may not read, it sends :meth:`answer`
  in place of the application's response.
* For everything else it adds :meth:`fields` to the application's response.

The invariant: an ``Access-Control-Allow-Origin`` that the application has set is never
changed, and nothing else is added beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .decision import ALLOW_CREDENTIALS, ALLOW_ORIGIN, Decision, missing_vary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .policy import CorsPolicy, Fields
    from .request import CorsRequest

__all__ = ["Answer", "Outcome", "Present"]

# Returns the values of a response's fields that have this name, without regard to case.
Present: TypeAlias = "Callable[[str], Sequence[str]]"


class Answer(NamedTuple):
    """
    A whole response that the application has no part in.

    Attributes:
        status: 204 for a granted preflight; 403 for a refused request, or 200 for a
            preflight whose refusal the browser explains (:class:`Decision`).
        text: The body, ``text/plain`` in ASCII; ``""`` if there is none, and then the
            response must have no ``Content-Type`` either.
        fields: The CORS fields to send.
    """

    status: int
    text: str
    fields: Fields


class Outcome(NamedTuple):
    """
    A decision with the policy and the request that led to it.

    Attributes:
        policy: The policy that applies.
        request: The request that it was applied to.
        decision: The result.
    """

    policy: CorsPolicy
    request: CorsRequest
    decision: Decision

    def answer(self) -> Answer:
        """Return the response to a preflight, or to any request that is refused."""
        _, status, _, reason = self.decision
        assert status is not None  # noqa: S101 - preflights and refusals have one
        text = "" if reason is None else f"{reason}\n"
        return Answer(status, text, self.decision.headers)

    def refuses_stream(self, present: Present) -> bool:
        """
        Return whether a response is an event stream that the page may not read.

        The page's script would never see an event, but the stream would keep its slot for
        as long as the client likes. Only a GET is refused: browsers send ``Origin`` with a
        POST to the page's own origin as well (Fetch, `append a request Origin header
        <https://fetch.spec.whatwg.org/#append-a-request-origin-header>`_).

        Args:
            present: Returns the values of the response's fields by their name.
        """
        return (
            self.decision.reason is not None
            and self.request.method == "GET"
            and any(map(_is_event_stream, present("Content-Type")))
        )

    def fields(self, present: Present) -> Fields:
        """
        Return the fields to add to the application's response.

        Args:
            present: Returns the values of the response's fields by their name.

        Returns:
            Names and values. ``Vary`` holds only what the response's own ``Vary`` lacks,
            and goes beside it. Empty if the response has an
            ``Access-Control-Allow-Origin``.
        """
        if present(ALLOW_ORIGIN):
            return ()
        if self.decision.preflight and self.decision.reason is not None:
            # The application answers it, with a status that is not ours: nothing may look
            # like a grant.
            fields: Fields = self.policy.compiled.preflight_vary
        else:
            fields = self.decision.headers
        found: list[tuple[str, str]] = []
        for name, value in fields:
            if name == "Vary":
                missing = missing_vary(present("Vary"), value)
                if missing:
                    found.append((name, missing))
            elif (
                name == ALLOW_ORIGIN
                and not self.policy.supports_credentials
                and value not in self.policy.compiled.origins.exact
                and present(ALLOW_CREDENTIALS)
            ):
                # The application allows credentials; a rule for many origins allows this
                # one, but without them. An echo would let it use the visitor's cookies.
                # Browsers refuse "*" with credentials (Fetch, "CORS check").
                found.append((name, "*"))
            else:
                found.append((name, value))
        return tuple(found)


def _is_event_stream(content_type: str) -> bool:
    # Media types are compared without regard to case (RFC 9110 section 8.3.1).
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"
