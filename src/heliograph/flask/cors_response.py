"""
A response with other header fields, which shares all else with the application's.

The response that a view, a hook or an error handler returns may outlive the request: a
constant of a module, or a value in a cache. Fields written into it would be sent to other
pages as well, so they are written into a copy.
"""

from __future__ import annotations

import weakref
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers

from flask import Response

if TYPE_CHECKING:
    from ..cors.policy import Fields

__all__ = ["fields_of", "with_fields"]

# To assign all fields checks each, which takes as long as the whole decision. Those of a
# response have been checked, and ours need not be.
_HAS_LIST = isinstance(vars(Headers()).get("_list"), list)

# Some extensions create a class for each response: none is kept alive here.
_without_slots: weakref.WeakSet[type[Any]] = weakref.WeakSet()

# The attribute of a copy that holds the response. Applications tie cleaning up to its life.
_ORIGINAL = "_heliograph_original"


def fields_of(response: Response) -> Headers:
    """
    Return the header fields of a response, not to be written to.

    Args:
        response: Any response. Some libraries assign a dict to its ``headers``.
    """
    headers: Any = response.headers
    return headers if isinstance(headers, Headers) else Headers(headers)


def with_fields(response: Response, present: Headers, fields: Fields) -> Response:
    """
    Return a copy of a response with more header fields.

    The copy is of the same class, and shares everything but its header fields: it has the
    same body, and closing it closes that and calls the functions of ``call_on_close``. So
    only one of the two may be sent. It keeps the response alive, as long as it is sent.

    A response whose class cannot be copied in this way gets the fields itself.

    Args:
        response: The response, which is not changed.
        present: Its header fields.
        fields: Names and values. ``Vary`` is added, others replace fields of that name.
    """
    replaced = {name.lower() for name, _ in fields if name != "Vary"}
    kept = (
        [each for each in present if each[0].lower() not in replaced]
        if replaced
        else present
    )
    headers = Headers()
    if _HAS_LIST:
        vars(headers)["_list"] = [*kept, *fields]
    else:
        headers[:] = [*kept, *fields]
    kind: Any = type(response)
    try:
        # Neither __init__ nor the methods for copy and pickle: those of a subclass may
        # expect other arguments, or leave out the body.
        copied: Response = object.__new__(kind)
        copied.__dict__.update(response.__dict__)
        if kind is not Response and kind not in _without_slots:
            _copy_slots(kind, response, copied)
        copied.__dict__[_ORIGINAL] = response
        copied.headers = headers
    except (AttributeError, TypeError):
        # An exception that is a response as well, or one that forbids assignments.
        _write(response, fields)
        return response
    return copied


def _copy_slots(kind: type[Any], response: Response, copied: Response) -> None:
    slots = [
        member
        for base in kind.__mro__
        for member in vars(base).values()
        if isinstance(member, MemberDescriptorType)
    ]
    if not slots:
        _without_slots.add(kind)
    for slot in slots:
        try:
            slot.__set__(copied, slot.__get__(response))
        except AttributeError:
            continue  # nothing is in it


def _write(response: Response, fields: Fields) -> None:
    for name, value in fields:
        if name == "Vary":
            response.headers.add(name, value)
        else:
            response.headers[name] = value
