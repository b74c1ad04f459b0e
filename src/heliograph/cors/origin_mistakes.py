"""
What is wrong with a text among the origins, and what to write instead.

People write origins as they know them from other libraries, from shells and from address
bars. What is guessed is read again before it is offered.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re

from .host_writing import origin_of
from .mending import mended_star, quoted
from .origin_patterns import can_be_written

__all__ = ["looks_like_an_expression", "wrong_expression", "wrong_set", "wrong_text"]

# No origin has these characters: they make a text a regular expression. A star alone does
# not: it makes a pattern.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")

# An address in IPv6, in any spelling. Its brackets do not make an expression.
_ADDRESS = re.compile(r"^(?:[a-z]+:?/*)?\[[0-9a-f:.]+\]", re.IGNORECASE)
_NUMBERS = re.compile(r"[0-9.*]*[0-9][0-9.*]*")
_STARRED_ADDRESS = re.compile(rf"(?:https?://)?{_NUMBERS.pattern}(?::[0-9*]+)?/?")

# What people write between the origins of a list, and around a text.
_SEPARATORS = re.compile(r"[\s,;]+")
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"

# Rules that are no origins, and yet may be listed.
_WORDS = frozenset({"*", "null"})

_LIST = re.compile(
    r"\s*[\[{(]\s*(?:[\"'].*|[^|]*://[^|]*,\s*[a-z]+://.*)[\])}]\s*", re.DOTALL
)
_VARIABLE = re.compile(
    r"\$\{?[a-z_]+\}?|\{\{.*\}\}|\{[a-z_]\w*\}|%[a-z_]+%|<[a-z_ -]+>", re.IGNORECASE
)
# What a program writes in place of a value that is not there.
_NOTHING = re.compile(
    r"(?:https?://)?(?:undefined|none|nan|null)(?::\w*)?/?", re.IGNORECASE
)
_SOURCE = re.compile(r"r(['\"])(.+)\1", re.IGNORECASE)
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
_SLASHES = re.compile(r"/(.+)/[gimsuy]*")

# An address that is read as a set of characters; a set that is meant for a list of ports;
# a star that repeats the character in front of it ("https*:" means both schemes).
_ADDRESS_SET = re.compile(
    r"(?<!\\)\[([0-9a-f.*]*:[0-9a-f.*]*:[0-9a-f:.*]*)(?:%\w+)?\]", re.IGNORECASE
)
_PORTS_SET = re.compile(r":\[([0-9,\s*-]*[,*][0-9,\s*-]*)\]")
_BRACES = re.compile(r"(?<=:)\{(\d+(?:,\d+)*)\}|\{([a-z-]+(?:,[a-z-]+)+)\}", re.IGNORECASE)
_NOT_OPTIONAL = re.compile(r"(?<=http)\(s\)(?![?*{])")
_QUERY = re.compile(r"[a-z]*:?/*[a-z0-9.-]+(?::\d+)?/?\?[\w-]+=[\w=&%.-]*", re.IGNORECASE)
_REPEATED = re.compile(r"(?:[/:a-rt-zA-Z0-9-]|(?<!http)s)\*")
_SET_OR_ESCAPE = re.compile(r"\\.|\[\^?\]?[^\]]*\]")

_MAX_PORT = 65_535

_EXAMPLE = "write scheme, host and port, such as 'https://app.example'"


def looks_like_an_expression(rule: str) -> bool:
    """Return whether a text is meant as a regular expression."""
    if (
        rule.startswith("file:")
        or _STARRED_ADDRESS.fullmatch(rule)
        or _QUERY.fullmatch(rule)
    ):
        return False
    return _REGEX.search(_ADDRESS.sub("", rule)) is not None


def wrong_expression(text: str) -> str | None:
    """
    Return why the text of an expression does not mean what it looks like.

    Args:
        text: The text.

    Returns:
        The reason, and what to write; :obj:`None` if there is nothing.
    """
    if wrong := _wrapped(text.strip()) or _wrong_set(text):
        return wrong
    if match := _REPEATED.search(_SET_OR_ESCAPE.sub("()", text)):
        mended = mended_star(text)
        hint = (
            quoted(mended) if mended else r"'.*' for any text, and '(:\d+)?' for any port"
        )
        return (
            f"is read as a regular expression, where {match[0]!r} repeats one character;"
            f" write {hint}"
        )
    return None


def wrong_set(expression: re.Pattern[str]) -> str | None:
    """
    Return why a set of characters in a compiled expression is no set.

    Args:
        expression: The expression. It may be one for bytes.

    Returns:
        The reason, and what to write; :obj:`None` if there is nothing.
    """
    text: object = expression.pattern
    return _wrong_set(text) if isinstance(text, str) else None


def _wrong_set(text: str) -> str | None:
    if match := _ADDRESS_SET.search(text):
        what, new = "an address", rf"\[{match[1].replace('*', '.*')}\]"
    elif match := _PORTS_SET.search(text):
        ports = [port for port in re.split(r"[,\s]+", match[1]) if port.isdecimal()]
        what, new = "ports", rf":({'|'.join(ports)})" if ports else r"(:\d+)?"
    elif match := _BRACES.search(text):
        new = f"({(match[1] or match[2]).replace(',', '|')})"
        return (
            f"has {match[0]!r}, which is no list in an expression; write"
            f" {quoted(text[: match.start()] + new + text[match.end() :])}"
        )
    elif _NOT_OPTIONAL.search(text):
        return (
            "has '(s)', which is not optional; write"
            f" {quoted(_NOT_OPTIONAL.sub('s?', text))}"
        )
    else:
        return None
    return (
        f"is an expression with {what} in brackets, which stand for one of the characters"
        f" in them; write {quoted(text[: match.start()] + new + text[match.end() :])}"
    )


def _wrapped(text: str) -> str | None:
    """Return what is wrong around a rule, or instead of it."""
    bare = text.strip(_INVISIBLE)
    if bare != text:
        return f"has an invisible character in it; write {_listed(bare) or bare!r}"
    if text == "<all_urls>":
        return "is not an origin; write '*' for every origin"
    if _VARIABLE.search(text):
        return "has a variable that was not replaced; write its value"
    if text.startswith(("[", "{", "(")) and (wrong := _list_in(text)):
        return wrong
    if match := _SOURCE.fullmatch(text):
        return f"is Python source in a text; write what is in it: {match[2]}"
    bare = text.strip(_QUOTES)
    if text[:1] in _QUOTES and bare != text:
        written = _listed(bare)
        hint = repr(written) if written else "an origin without them"
        return f"has quotation marks in it; write {hint}"
    if match := _SLASHES.fullmatch(text):
        return f"has slashes around it; write {quoted(match[1])}"
    return None


def _list_in(text: str) -> str | None:
    """Return what is wrong with a list that was written as one text."""
    if text[0] != "(" and not text.strip("[]{} "):
        return "is an empty list in one text; write the origins"
    parts = re.findall(r"[^\s\[\](){}'\",]+", text)
    found = [_listed(part) for part in parts]
    if all(found) and (text[0] == "[" or len(found) > 1):
        return f"is a list in one text; write the list itself: {json.dumps(found)}"
    if _LIST.fullmatch(text):
        return "is a list in one text; pass a list of strings (json.loads(…) reads JSON)"
    return None


def wrong_text(rule: str) -> str:
    """Return why a text is not an origin, and what to write instead."""
    text = rule.strip()
    if not text:
        return (
            "is empty: a variable of the environment that is not set, or a comma at the"
            " end of a list? Leave it out, or write an origin"
        )
    if several := _several(text):
        return f"is one text; write a list of origins: {json.dumps(several)}"
    if wrong := _wrapped(text):
        return wrong
    if _NOTHING.fullmatch(text):
        return "has a value that is not set in it; write an origin"
    if not text.isascii():
        return _not_ascii(text)
    if text.lower().startswith("file:"):
        # HTML section 7.1.1 leaves the origin of file: URLs to browsers.
        return (
            "is not what a browser sends, and so would never match; write 'null' for pages"
            " that a browser opens from files, 'file://' for those of Android's WebView"
            " and of Electron"
        )
    return _around(text) or _addresses(text) or _ports(text) or _nearly(text)


def _not_ascii(text: str) -> str:
    scheme, ends, rest = text.rpartition("://")
    host = re.match(r"[^/:?#]*", rest)
    try:
        # IDNA 2003. Browsers follow UTS 46, which differs for these two letters only.
        known = host is not None and not re.search("[\u00df\u03c2]", host[0])
        name = host[0].encode("idna").decode() if known and host else ""
    except UnicodeError:
        name = ""
    if name and host and (origin := origin_of(scheme + ends + name + rest[host.end() :])):
        return f"is not ASCII; write the name as browsers send it: {origin!r}"
    # RFC 5890 section 2.3.2.1: browsers send the A-label.
    return "is not ASCII; write the name as browsers send it, as 'https://xn--…'"


def _around(text: str) -> str | None:
    """Return what to write if there is one origin within a text."""
    found = re.findall(r"https?://(?!https?:)[a-z0-9.*_:-]+(?<![.:])", text, re.IGNORECASE)
    is_alone = text.lower().startswith("http") and not re.search(r"\s|://.*:/", text)
    if len(found) != 1 or is_alone or "," in text:
        return None
    origin = _listed(found[0])
    return f"has more than an origin in it; write {origin!r}" if origin else None


def _ports(text: str) -> str | None:
    """Return what is wrong with the port of a text that is an origin apart from that."""
    if origin_of(text) is not None:
        return None
    match = re.fullmatch(r"(.*[a-z0-9\]*]):([^/:\]]*)/?", text, re.IGNORECASE)
    origin = origin_of(match[1]) if match else None
    if match is None or origin is None or not can_be_written(origin):
        return None
    port = match[2]
    if re.fullmatch(r"\d+-\d+|\d*\*\d*", port) and port != "*":
        return f"has a range of ports; write {f'{origin}:*'!r} for any port"
    if not port.isdecimal() and port != "*":
        return f"has the port {port!r}, which is not a number; write {origin!r}, or a port"
    if port != "*" and not 0 < int(port[:6]) <= _MAX_PORT:
        return f"has the port {port}, which is not between 1 and {_MAX_PORT}"
    return None


def _addresses(text: str) -> str | None:
    """Return what is wrong with a range of addresses, or an address without brackets."""
    bare = text.rpartition("//")[2]
    match = re.fullmatch(r"([0-9.]+)/(\d+)", bare)
    if match is not None:
        numbers = match[1].split(".")[: int(match[2]) // 8]
        stars = ".".join([*numbers, "*", "*", "*", "*"][:4])
        return f"is a range of addresses; write 'http://{stars}:*' for any port of them"
    if match := re.fullmatch(r"([0-9.]+\.)[0-9]+-[0-9.]+(?::\d+)?", bare):
        stars = match[1] + "*"
        return f"is a range of addresses; write 'http://{stars}:*' for any port of them"
    with contextlib.suppress(ValueError):
        address = ipaddress.IPv6Address(bare)
        return f"has no brackets around the address; write 'http://[{address.compressed}]'"
    return None


def _nearly(text: str) -> str:
    """Return what is wrong with a text that names one host."""
    origin = origin_of(text)
    if re.match(r"(?:ws|wss|ftp)://", text, re.IGNORECASE):
        return (
            "is not the origin of a page, whose scheme is 'https' or 'http'; write"
            f" {origin or 'https://app.example'!r}"
        )
    if "," in text or ";" in text or " " in text:
        return "is not an origin; write several as a list of strings"
    below = re.match(r"(https?://)?\.([a-z0-9.-]+)$", text, re.IGNORECASE)
    if below and can_be_written(found := f"{below[1] or 'https://'}*.{below[2]}".lower()):
        return f"is not an origin; write {found!r} for all names below it"
    host = re.split("[/:]", text.rpartition("//")[2])[0]
    is_address = _NUMBERS.fullmatch(host) and "." in host
    if origin is None and text.startswith("//"):
        origin = origin_of(text.lstrip("/"))
    if origin is None or not can_be_written(origin):
        if is_address:
            return (
                "is not an address of four numbers up to 255, of which each may be a star;"
                " write for example 'http://192.168.1.*:3000'"
            )
        return f"is not an origin; {_EXAMPLE}"
    if "://" in text or re.match("https?(?::|//)", text, re.IGNORECASE):
        return f"is not what a browser sends, and so would never match; write {origin!r}"
    if text.isdecimal():
        return f"is not an origin; {_EXAMPLE}"
    if not re.search(r"[.:]|^localhost$", text):
        # A word of another option's, such as "self" or "none", or a name in the intranet.
        return f"is not an origin; {_EXAMPLE}, or 'http://{text}' if it is a host"
    return f"has no scheme; write {origin!r}"


def _several(text: str) -> list[str] | None:
    """Return the origins that a text lists; None if it is no such list."""
    parts = [part for part in _SEPARATORS.split(text) if part]
    if not _SEPARATORS.search(text) or looks_like_an_expression("".join(parts)):
        return None
    found = [_listed(part.strip(_QUOTES)) for part in parts]
    return [each for each in found if each] if all(found) else None


def _listed(part: str) -> str | None:
    if part in _WORDS or can_be_written(part):
        return part
    origin = origin_of(part) if re.search(r"[.:]|^localhost$", part) else None
    return origin if origin and can_be_written(origin) else None
