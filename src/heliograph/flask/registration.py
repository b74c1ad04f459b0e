"""Registering a blueprint: errors that say what to write where Flask's own do not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask.blueprints import BlueprintSetupState

from flask import Blueprint, Flask

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckedBlueprint", "check_app", "warn_of_replacement"]

_log = logging.getLogger("heliograph.flask")


class CheckedBlueprint(Blueprint):
    """A blueprint whose errors say what to write."""

    def make_setup_state(
        self,
        app: Flask,  # type: ignore[override]  # Flask's own class narrows it likewise
        options: dict[str, Any],
        first_registration: bool = False,  # noqa: FBT001, FBT002 - Flask's signature
    ) -> BlueprintSetupState:
        """Return what registers the routes. Flask documents this for subclasses."""
        return _SetupState(self, app, options, first_registration)

    def _check_setup_finished(self, f_name: str) -> None:
        # Flask calls this in each decorator of a blueprint. If it no longer does, its own
        # message appears again.
        try:
            super()._check_setup_finished(f_name)
        except AssertionError as error:
            name = self.name
            raise AssertionError(
                f"{name}.{f_name}() comes too late, the blueprint {name!r} is registered:"
                f" move it above app.register_blueprint({name}, …), and out of a factory;"
                f" with SSE, between {name} = SSE() and {name}.init_app(app)."
                f" @{name}.authorizer guards streams wherever it is written"
            ) from error


class _SetupState(BlueprintSetupState):
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """Register a route. See :meth:`flask.Flask.add_url_rule`."""
        if not rule and not self.url_prefix:
            problem = (
                f"url_prefix must be the path of the stream, not {self.url_prefix!r}: write"
                f' app.register_blueprint({self.blueprint.name}, url_prefix="/stream")'
            )
            raise ConfigError([problem])
        super().add_url_rule(rule, endpoint, view_func, **options)


def check_app(app: object) -> None:
    """
    Check that a blueprint can be registered with a value.

    Args:
        app: What was given as an application. A blueprint to nest in is one, too.

    Raises:
        TypeError: It is neither.
    """
    if not isinstance(app, Flask | Blueprint):
        raise TypeError(
            f"SSE() takes an application of Flask, not {app!r}: write SSE(app), or"
            " heliograph.asgi.EventStreams for Starlette, FastAPI or Quart"
        )


def warn_of_replacement(
    blueprint: str, previous: Callable[..., Any] | None, function: Callable[..., Any]
) -> None:
    """
    Log a warning if a blueprint's authorizer is replaced by another one.

    Nothing is logged for the same function once more: a factory that is called twice
    registers it twice.

    Args:
        blueprint: The name of the blueprint.
        previous: The authorizer until now, if any.
        function: The authorizer from now on.
    """
    if previous is None or _full_name(previous) == _full_name(function):
        return
    _log.warning(
        "the authorizer %s of the blueprint %r is replaced by %s, which alone decides about"
        " its streams from now on; to ask both, call one in the other",
        _full_name(previous),
        blueprint,
        _full_name(function),
    )


def _full_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None)}.{name}"
