"""
What all faces share: the decision about a request for a stream, made from values.

A face translates between one framework and this layer, and decides nothing itself:

1. It builds a :class:`StreamRequest` from the framework's request.
2. :func:`decide` returns an :class:`Admission`, a :class:`Refusal`, or a
   :class:`NeedsVerdict` if the application's authorizer has to be asked. The face calls the
   authorizer, because that may be async or need an application context, and passes the
   verdict to :meth:`NeedsVerdict.settle`.
   Where a view of the application has chosen the channels and let the client in,
   :func:`admission_by_view` returns the admission instead.
3. :func:`admit` reserves a slot in the hub. It returns the hub's ticket or a refusal.
4. The face sends the status and headers of the refusal and its one line of text, after
   :func:`log_refusal`, or :func:`stream_headers` and the stream of the ticket.

To publish, it passes what the developer gave to :func:`event_for`. The functions above take
the time as an argument, do no I/O and read no clock.

A face under WSGI also uses :class:`Arrivals` and
:class:`~heliograph.faces.stream_layer.StreamLayer` around its application, which serves the
streams that views offer, and :mod:`heliograph.faces.settings` and
:mod:`heliograph.faces.lazy_hub`, which read the keys of the application and create its hub.
"""

from __future__ import annotations

from ..hub import Admission
from .access import Access
from .admission import admit
from .arrivals import ARRIVED, Arrivals, noted_arrival
from .decision import NeedsVerdict, admission_by_view, decide
from .headers import stream_headers
from .publishing import check_key, dumps_json, event_for, terms_for
from .refusal import Refusal, log_refusal, unavailable
from .request import DEFAULT_CHANNEL, FIELDS, METHODS, StreamRequest
from .tokens import read_keys, signed_parameters

__all__ = [
    "ARRIVED",
    "DEFAULT_CHANNEL",
    "FIELDS",
    "METHODS",
    "Access",
    "Admission",
    "Arrivals",
    "NeedsVerdict",
    "Refusal",
    "StreamRequest",
    "admission_by_view",
    "admit",
    "check_key",
    "decide",
    "dumps_json",
    "event_for",
    "log_refusal",
    "noted_arrival",
    "read_keys",
    "signed_parameters",
    "stream_headers",
    "terms_for",
    "unavailable",
]
