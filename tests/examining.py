"""What tests of the doctor have in common: examine, and what is wrong in short."""

from concurrent.futures import ThreadPoolExecutor

from heliograph.doctor import Target, Verdict, examine, judge

PAGE = "https://page.example"
# Where an answer is not to come: elsewhere a busy machine may take its time.
IN_VAIN = {"timeout_seconds": 1}


def ills(**options):
    """Examine a stream, and return what is wrong: code -> verdict."""
    options = {"wait_seconds": 0} | options
    findings = judge(examine(Target(**options)))
    return {
        one.code: one.verdict.value
        for one in findings
        if one.verdict in {Verdict.WARNING, Verdict.BROKEN}
    }


def ills_of_all(rows):
    """
    Examine many streams at a time, and return what is wrong with each.

    ``rows``: name -> options of the target.
    """
    with ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda options: ills(**options), rows.values())
        return dict(zip(rows, found, strict=True))
