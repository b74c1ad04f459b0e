"""What the doctor says about one concern: a verdict, the evidence, and what to change."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Finding", "Verdict", "broken", "fine", "skipped", "warning"]


class Verdict(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """
    One result of the examination.

    Args:
        code: What was found, such as ``"content-type"``. It does not change between
            releases, and is the anchor of the explanation in ``docs/doctor.md``.
        verdict: How bad it is.
        title: The result in one sentence, without a full stop.
        evidence: What was seen: values, headers, times.
        advice: The setting to change, or what to try; empty if nothing has to change.
    """

    code: str
    verdict: Verdict
    title: str
    evidence: str = ""
    advice: str = ""


def fine(code: str, title: str, evidence: str = "", advice: str = "") -> Finding:
    """Return a finding that needs no change. Its advice is good to know."""
    return Finding(code, Verdict.OK, title, evidence, advice)


def warning(code: str, title: str, evidence: str, advice: str) -> Finding:
    """Return a finding about something that harms some clients, or harms at times."""
    return Finding(code, Verdict.WARNING, title, evidence, advice)


def broken(code: str, title: str, evidence: str, advice: str) -> Finding:
    """Return a finding about something because of which events do not arrive."""
    return Finding(code, Verdict.BROKEN, title, evidence, advice)


def skipped(code: str, title: str, reason: str, advice: str = "") -> Finding:
    """Return a finding about something that could not be checked, with the reason."""
    return Finding(code, Verdict.SKIPPED, title, reason, advice)
