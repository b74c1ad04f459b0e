"""
Options of channels: a mapping of name patterns to options, validated as a whole.

In a pattern ``*`` matches any text, also none; no other character is special. One pattern
counts for a channel: an exact name before all patterns, then the longest pattern. Two
patterns of the same length that can match the same name are refused, so the order in which
they are written never matters. Options that the pattern does not name have their defaults,
and not those of a shorter pattern that matches as well: one entry tells the whole.

Channel names come from clients, and a name is looked up for each request. So patterns are
matched by searching for their literal parts, in a time that is bounded by the length of the
name. A regular expression with several ``.*`` would backtrack.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import Literal, NamedTuple, TypeAlias

from ..errors import ConfigError, InvalidFieldError
from ..rules import Choice, Number, Rule, seconds
from .names import check_channel, is_internal

__all__ = [
    "COMPRESSIONS",
    "NO_PATTERNS",
    "RULES",
    "ChannelOptions",
    "ChannelPatterns",
    "Compression",
    "lifetime_problem",
    "pattern_problems",
]

Compression: TypeAlias = Literal["blocks", "shared-window"] | None
"""How the streams of a channel may be compressed; :obj:`None` for not at all."""

COMPRESSIONS: tuple[Compression, ...] = (None, "blocks", "shared-window")
"""The values of ``compression``, from the least to the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """
    The options of one channel. Each is also a field of :class:`~heliograph.HubConfig`.

    Args:
        history_events: Largest number of events in history.
        history_seconds: Largest age of an event in history.
        forget_seconds: Seconds after which a channel is forgotten that has ended or is
            unused.
        retained_keys: Largest number of retained events.
        compression: How streams of the channel may be compressed.
    """

    history_events: int = 10_000
    history_seconds: float = 86_400.0
    forget_seconds: float = 2_592_000.0
    retained_keys: int = 1_000
    compression: Compression = None


RULES: Mapping[str, Rule] = {
    "history_events": Number(1),
    "history_seconds": seconds(),
    "forget_seconds": seconds(),
    "retained_keys": Number(1),
    "compression": Choice(COMPRESSIONS),
}
"""The rule of each option."""


class ChannelPatterns(Mapping[str, Mapping[str, object]]):
    """
    Patterns and their options as they were written; immutable and hashable.

    Args:
        patterns: Names of channels, in which ``*`` matches any text, and the options of
            the channels that they match.
        defaults: Valid options: those of channels that no pattern matches, and those that a
            pattern does not name.

    Attributes:
        all_options: The options of any channel are one of these.
        windows: The settings that ask for a shared window, by their names in
            :class:`~heliograph.HubConfig`.

    Raises:
        ConfigError: Listing each mistake in ``patterns``.
    """

    def __init__(
        self,
        patterns: Mapping[str, Mapping[str, object]],
        defaults: ChannelOptions,
    ) -> None:
        problems = pattern_problems(patterns)
        if problems:
            raise ConfigError(problems)
        self._written = {name: {**options} for name, options in patterns.items()}
        self._defaults = defaults
        options_by_pattern = {
            # mypy does not see that the rules have been applied.
            pattern: replace(defaults, **options)  # type: ignore[arg-type]
            for pattern, options in self._written.items()
        }
        problems = [
            problem
            for pattern, options in options_by_pattern.items()
            if (
                problem := lifetime_problem(
                    options, f"channels[{pattern!r}]", self._written[pattern]
                )
            )
        ]
        if problems:
            raise ConfigError(problems)
        self.all_options = frozenset({defaults, *options_by_pattern.values()})
        self._exact = {
            name: options for name, options in options_by_pattern.items() if "*" not in name
        }
        self._globs = [
            (_Glob.parse(pattern), options_by_pattern[pattern])
            for pattern in sorted(options_by_pattern, key=len, reverse=True)
            if "*" in pattern
        ]
        self.windows = (
            *(["compression"] if defaults.compression == "shared-window" else []),
            *(
                f"channels[{pattern!r}]['compression']"
                for pattern, options in self._written.items()
                if options.get("compression") == "shared-window"
            ),
        )

    def options_of(self, channel: str) -> ChannelOptions:
        """
        Return the options of a channel.

        Args:
            channel: The name of any channel. Those of Heliograph's own have the defaults.
        """
        # Users cannot name them, and do not mean them by "*": commands between processes
        # would be lost with the history of a pattern that keeps little.
        if is_internal(channel):
            return self._defaults
        exact = self._exact.get(channel)
        if exact is not None:
            return exact
        for glob, options in self._globs:
            if glob.matches(channel):
                return options
        return self._defaults

    def __getitem__(self, pattern: str) -> Mapping[str, object]:
        """Return a copy of the options that were written for a pattern."""
        return {**self._written[pattern]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)

    def __hash__(self) -> int:
        # The defaults do not count in __eq__, which is that of all mappings.
        written = self._written.items()
        return hash(frozenset((name, frozenset(given.items())) for name, given in written))

    def __repr__(self) -> str:
        return repr(self._written)


class _Glob(NamedTuple):
    """A pattern with at least one ``*``, as the text between its stars."""

    prefix: str
    middle: tuple[str, ...]
    suffix: str
    least: int

    @classmethod
    def parse(cls, pattern: str) -> _Glob:
        prefix, *middle, suffix = pattern.split("*")
        return cls(prefix, tuple(middle), suffix, len(pattern) - pattern.count("*"))

    def matches(self, name: str) -> bool:
        # A name that is shorter has a prefix and a suffix that overlap.
        if (
            len(name) < self.least
            or not name.startswith(self.prefix)
            or not name.endswith(self.suffix)
        ):
            return False
        begin, end = len(self.prefix), len(name) - len(self.suffix)
        # The first occurrence leaves the most for the parts after it.
        for part in self.middle:
            found = name.find(part, begin, end)
            if found < 0:
                return False
            begin = found + len(part)
        return True

    def common(self, other: _Glob) -> str | None:
        """
        Return a name that this pattern and another one match; :obj:`None` if there is none.

        Whatever is between the prefix and the suffix can be matched by a star of each, so
        only those decide. The name may be longer than a channel's may be, if the patterns
        have more than half of that length.
        """
        prefix = max(self.prefix, other.prefix, key=len)
        suffix = max(self.suffix, other.suffix, key=len)
        for glob in (self, other):
            if not prefix.startswith(glob.prefix) or not suffix.endswith(glob.suffix):
                return None
        return "".join([prefix, *self.middle, *other.middle, suffix])


def lifetime_problem(
    options: ChannelOptions, setting: str = "", written: Collection[str] = ()
) -> str | None:
    """
    Return what is wrong with two durations together; :obj:`None` if nothing is.

    Args:
        options: Options of which each is valid by itself.
        setting: The setting of the pattern that has the options; empty for the defaults.
        written: The options that the pattern names; the others are defaults.
    """
    history, forget = options.history_seconds, options.forget_seconds
    if forget >= history:
        return None
    longer, shorter = (
        f"{setting}[{option!r}]" if setting else option
        for option in ("forget_seconds", "history_seconds")
    )
    too_short = longer if "forget_seconds" in written else "forget_seconds"
    too_long = shorter if "history_seconds" in written else "history_seconds"
    return (
        f"{too_short} must be at least {too_long} ({history}), not {forget}: a channel is"
        f" not forgotten before its events; write {longer} = {history} or more, or"
        f" {shorter} = {forget} or less"
    )


def pattern_problems(patterns: object) -> list[str]:
    """
    Return what is wrong with patterns, whatever the defaults are.

    Args:
        patterns: Any value.
    """
    if not isinstance(patterns, Mapping):
        rule = "channels must be a dict of name patterns and their options"
        return [f"{rule}, not {patterns!r}: write {{'a-*': {{'compression': 'blocks'}}}}"]
    problems: list[str] = []
    valid: list[str] = []
    for pattern, options in patterns.items():
        setting = f"channels[{pattern!r}]"
        found = _problem_of_pattern(pattern)
        if found is None:
            valid.append(pattern)
        else:
            problems.append(f"{setting}: {found}")
        problems += _problems_of_options(setting, options)
    return [*problems, *_overlaps(valid)]


def _problem_of_pattern(pattern: object) -> str | None:
    try:
        name = check_channel(pattern)
    except InvalidFieldError as error:
        return f"a pattern is the name of a channel with * for any text: {error.reason}"
    if "**" in name:
        # Otherwise a pattern could be made longer without any change of its meaning.
        return "** matches nothing that * does not: write * once"
    return None


def _problems_of_options(setting: str, options: object) -> Iterator[str]:
    if not isinstance(options, Mapping):
        yield (
            f"{setting} must be a dict of options, not {options!r}: write"
            " {'compression': 'blocks'}"
        )
        return
    for option, value in options.items():
        rule = RULES.get(option)
        if rule is None:
            nearest = difflib.get_close_matches(str(option), RULES, 1)
            hint = (
                f"did you mean {nearest[0]!r}?"
                if nearest
                else f"a channel has only {', '.join(map(repr, RULES))}"
            )
            yield f"{setting}[{option!r}] is no option; {hint}"
        elif problem := rule.problem(f"{setting}[{option!r}]", value):
            yield problem


def _overlaps(patterns: list[str]) -> Iterator[str]:
    globs = sorted((pattern for pattern in patterns if "*" in pattern), key=len)
    for length, group in groupby(globs, len):
        parsed = [(pattern, _Glob.parse(pattern)) for pattern in group]
        for (first, glob), (second, other) in combinations(parsed, 2):
            name = glob.common(other)
            if name is not None:
                yield (
                    f"channels[{first!r}] and channels[{second!r}] both match {name!r} and"
                    f" have the same length ({length}), so neither takes precedence: narrow"
                    " one of them, or write exact names"
                )


# After what validates it.
NO_PATTERNS = ChannelPatterns({}, ChannelOptions())
"""No pattern: each channel has the same options."""
