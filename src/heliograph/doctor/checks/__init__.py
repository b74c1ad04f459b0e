"""
What an observation means: pure functions of values, one module for each concern.

A check yields what it can tell, in the order in which a request meets the causes, so that
the first finding that is broken is the one to mend first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..finding import Verdict, skipped
from . import (
    answer,
    caching,
    cors,
    delivery,
    lifetime,
    network,
    protocol,
    resuming,
    storage,
)

if TYPE_CHECKING:
    from ..finding import Finding
    from ..observation import Observation

__all__ = ["judge"]

_CHECKS = [network, answer, protocol, delivery, storage, resuming, lifetime, caching, cors]


def judge(seen: Observation) -> list[Finding]:
    """
    Return the findings about what was seen, without secrets.

    Args:
        seen: What was seen.
    """
    found = [finding for one in _CHECKS for finding in one.check(seen)]
    if not seen.main.is_stream:
        reason = next((one.title for one in found if one.verdict is Verdict.BROKEN), "")
        found.append(
            skipped(
                "no-stream",
                "Everything that concerns an open stream was not checked",
                f"there is none: {reason}" if reason else "there is none",
                "Mend what is broken, and run the doctor again.",
            )
        )
    return [
        one._replace(
            **{
                name: _shown(seen, getattr(one, name))
                for name in ("title", "evidence", "advice")
            }
        )
        for one in found
    ]


# A terminal obeys some of them, and what a server sends is part of the evidence.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _shown(seen: Observation, text: str) -> str:
    return _CONTROL.sub(" ", seen.target.redact(text))
