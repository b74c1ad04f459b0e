"""
What is measured: one module each.

A module's docstring says what is measured and how. `measure(bench)` yields rows, flat dicts with
the fields `hub` and `kind`; `tables(rows)` and `plots(rows)` yield what is shown of them.
"""

from __future__ import annotations

from . import (
    a_flood,
    b_steady,
    cd_idle,
    e_storm,
    f_channels,
    g_one_stream,
    h_publishing,
    i_busy,
    j_coding,
    k_large,
    l_workers,
)

# By name: its first part is the letters of the scenarios that it measures.
SCENARIOS = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        a_flood,
        b_steady,
        cd_idle,
        e_storm,
        f_channels,
        g_one_stream,
        h_publishing,
        i_busy,
        j_coding,
        k_large,
        l_workers,
    )
}


def named(letters):
    """Return the names of the scenarios with these letters, all if there are none."""
    wanted = set("".join(letters))
    names = [
        name for name in SCENARIOS if not wanted or wanted & set(name.partition("_")[0])
    ]
    unknown = wanted - {letter for name in names for letter in name.partition("_")[0]}
    if unknown:
        raise SystemExit(f"there is no scenario {', '.join(sorted(unknown))}")
    return names
