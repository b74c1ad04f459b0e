"""
The brokers that exist, by the scheme of their URLs.

A scheme is claimed by Heliograph itself, by an installed distribution (entry points of the
group ``heliograph.brokers``: the name is the scheme, the object is a factory) or by the
application (:func:`register_broker`). Two claims of one scheme are an error. If one of them
won, it would depend on the order of installation where events are stored.

The module of a broker, and with it a driver, is imported when a URL with its scheme is
used, and not before.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, cast

from .. import native
from ..errors import ConfigError
from .base import Broker
from .url import without_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import RetentionPolicy

__all__ = ["GROUP", "OWN", "BrokerFactory", "make_broker", "register_broker"]

GROUP = "heliograph.brokers"
"""The group of entry points in which distributions declare their brokers."""

_REDIS = "heliograph.brokers.redis.factory:from_url"

OWN = {
    "memory": "heliograph.brokers.memory:from_url",
    "sqlite": "heliograph.brokers.sqlite.url:from_url",
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
}
"""
Heliograph's own brokers, as ``pyproject.toml`` declares them.

They are listed here, too, because applications that are frozen into one file, or run from a
source tree, have no metadata of distributions.
"""

_OWN_DISTRIBUTION = "heliograph"

_WHAT_TO_WRITE = (
    'write "sqlite:///relative/or//absolute/path" (an embedded file that all processes '
    'of the machine share), "redis://host:6379/0" or "memory:" (this process only)'
)

# What a broker must have.
_MEMBERS = [
    name for name in (*Broker.__annotations__, *vars(Broker)) if not name.startswith("_")
]

# RFC 3986, section 3.1, without capitals: schemes are compared as they are written.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


class BrokerFactory(Protocol):
    """Makes a broker from its URL."""

    def __call__(self, url: str, retention: RetentionPolicy, /) -> Broker:
        """
        Return a broker that is not open yet.

        This is also called to check a URL when an application is configured, and the broker
        is then dropped. So it must not connect to storage, create files or start tasks;
        :meth:`Broker.open` does that.

        Args:
            url: A URL whose scheme the factory is registered for, with all its options.
            retention: How much to keep of each channel.

        Raises:
            ConfigError: The URL is wrong. Each problem names the value, the rule, and what
                to write instead, without the URL's password.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """
    One factory for a scheme.

    Args:
        shown: Who made the claim and with what, for messages.
        load: Returns the factory. May raise anything that an import may raise.
        remedy: What to do if it raises, for messages.
    """

    shown: str
    load: Callable[[], object]
    remedy: str = ""


# Held while a broker's module is imported, and by a fork: a child would inherit a module
# that is half there, and the lock of its import, which nobody there would release.
# Native, since the hub's thread imports and a greenlet may fork.
_importing = native.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire,
        after_in_parent=_importing.release,
        after_in_child=_importing.release,
    )

# The factories that the application has registered, by scheme.
_registered: dict[str, BrokerFactory] = {}


def register_broker(scheme: str, factory: BrokerFactory) -> None:
    """
    Use a factory for all URLs with a scheme, in this process.

    A distribution declares its broker as an entry point instead, so that applications need
    no code for it (see ``docs/brokers.md``).

    Args:
        scheme: The part of the URL before the first colon: lower-case letters, digits,
            ``+``, ``-`` and ``.``, beginning with a letter.
        factory: Makes the broker. Registering the same factory again has no effect.

    Raises:
        ConfigError: The scheme is not valid or is claimed already, or the factory cannot be
            called.
    """
    problems = []
    if not _SCHEME.fullmatch(scheme):
        problems.append(
            f"a broker's scheme must be lower-case letters, digits and + - . beginning with"
            f' a letter, not {scheme!r:.80}; write what precedes the colon, as in "example"'
        )
    elif _registered.get(scheme) is not factory and (claims := _claims(scheme)):
        problems.append(
            f"the scheme {scheme!r} cannot be registered for {factory!r:.80}: it is claimed"
            f" by {claims[0].shown}; choose another scheme"
        )
    if not callable(factory):
        problems.append(
            f"a broker's factory must be a function of a URL and a RetentionPolicy,"
            f" not {factory!r:.80}"
        )
    if problems:
        raise ConfigError(problems)
    _registered[scheme] = factory


def make_broker(url: str, retention: RetentionPolicy) -> Broker:
    """
    Return the broker that a URL names, not open yet.

    Args:
        url: Its scheme decides which factory is called.
        retention: How much is kept of each channel.

    Raises:
        ConfigError: No factory or several claim the scheme; the factory cannot be loaded,
            refuses the URL or returns no broker.
    """
    if not isinstance(url, str):
        # The value may hold a password.
        kind = type(url).__name__
        raise ConfigError([f"a broker's URL must be str, not {kind}; {_WHAT_TO_WRITE}"])
    scheme, colon, _ = url.partition(":")
    claims = _claims(scheme) if colon else []
    if not claims:
        raise ConfigError(
            [f"no broker for {without_password(url)!r}; {_WHAT_TO_WRITE}{_others()}"]
        )
    if len(claims) > 1:
        shown = " and by ".join(claim.shown for claim in claims)
        problem = (
            f"the scheme {scheme!r} is claimed by {shown}: only one may claim it; uninstall"
            " or unregister the others"
        )
        raise ConfigError([problem])
    (claim,) = claims
    broker = _factory(scheme, claim)(url, retention)
    if missing := [name for name in _MEMBERS if not hasattr(broker, name)]:
        problem = (
            f"the broker for {scheme!r} ({claim.shown}) is {broker!r:.80}, which lacks"
            f" {', '.join(missing)}: its factory must return an object with all attributes"
            " and methods of heliograph.brokers.Broker"
        )
        raise ConfigError([problem])
    return broker


def _claims(scheme: str) -> list[_Claim]:
    claims = []
    if scheme in OWN:
        own = EntryPoint(scheme, OWN[scheme], GROUP)
        claims.append(_Claim(shown=f"heliograph itself, {own.value}", load=own.load))
    claims += [
        _Claim(
            shown=f"{_distribution(entry)}, {entry.value}",
            load=entry.load,
            remedy="; install what it needs, or uninstall the distribution",
        )
        for entry in _entry_points()
        if entry.name == scheme
    ]
    if scheme in _registered:
        factory = _registered[scheme]
        shown = f"this application's register_broker({scheme!r}, {factory!r:.80})"
        claims.append(_Claim(shown=shown, load=lambda: factory))
    return claims


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """
    Return those of other distributions; :data:`OWN` has ours.

    They are read once for each process: this opens a file for each distribution.
    """
    return tuple(
        entry
        for entry in entry_points(group=GROUP)
        if entry.dist is None or entry.dist.name.lower() != _OWN_DISTRIBUTION
    )


def _distribution(entry: EntryPoint) -> str:
    if entry.dist is None:
        return "an unnamed distribution"
    return f"the distribution {entry.dist.name} {entry.dist.version}"


def _others() -> str:
    others = sorted({entry.name for entry in _entry_points()} | set(_registered))
    if not others:
        return ""
    return f"; other packages provide {', '.join(f'{name}:' for name in others)}"


def _factory(scheme: str, claim: _Claim) -> BrokerFactory:
    try:
        with _importing:
            factory = claim.load()
    except Exception as error:
        # Whatever the import of another package's module may raise.
        problem = (
            f"the broker for {scheme!r} ({claim.shown}) cannot be imported:"
            f" {type(error).__name__}: {error}{claim.remedy}"
        )
        raise ConfigError([problem]) from error
    if not callable(factory):
        problem = (
            f"the broker for {scheme!r} ({claim.shown}) is {factory!r:.80}, which cannot be"
            " called: the entry point must name a function of a URL and a RetentionPolicy,"
            ' as in "package.module:from_url"'
        )
        raise ConfigError([problem])
    return cast("BrokerFactory", factory)
