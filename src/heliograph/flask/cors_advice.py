"""Warnings about what was probably not meant, each once for a route or a blueprint."""

from __future__ import annotations

import logging

__all__ = ["CorsAdvice"]

_log = logging.getLogger("heliograph.cors")

_ON_PURPOSE = "if everyone may use it, write origins='*'"


class CorsAdvice:
    """Warnings about one application. They name its routes and blueprints."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str | None]] = set()

    def was_given(self, topic: str, name: str | None) -> bool:
        """
        Return whether there has been a warning, so that its reason need not be looked for.

        Args:
            topic: ``late``, ``route`` or ``blueprint``.
            name: The endpoint, or the name of the blueprint.
        """
        return (topic, name) in self._given

    def about_late_decorator(self, endpoint: str | None) -> None:
        """Warn of a decorator that was applied within a request."""
        self._given.add(("late", endpoint))
        _log.warning(
            "@cross_origin has no effect for the endpoint %r: it was applied while a"
            " request was handled, which is too late for preflights. Write it below"
            " @app.route(…), where the route is added. For a class-based view, write it"
            " above a method, or decorators = [cross_origin(…)] in the class; with"
            " Flask-RESTful and Flask-RESTX also method_decorators = [cross_origin(…)]",
            endpoint,
        )

    def about_open_route(self, endpoint: str | None, route: str) -> None:
        """Warn of a decorator without origins, where others are strict."""
        self._given.add(("route", endpoint))
        _log.warning(
            "%s allows every origin, unlike CORS(…) for this path: its @cross_origin names"
            " no origins, and inherits none from CORS(…). Write @cross_origin(origins=[…]),"
            " or set CORS_ORIGINS in app.config before CORS(app), or remove @cross_origin;"
            " %s",
            route,
            _ON_PURPOSE,
        )

    def about_open_blueprint(self, name: str) -> None:
        """Warn of a blueprint's CORS without origins, where others are strict."""
        self._given.add(("blueprint", name))
        _log.warning(
            "the blueprint %r allows every origin: its CORS(blueprint) names no origins,"
            " and inherits none from CORS(app), an outer blueprint or CORS_ORIGINS in"
            " app.config, which allow fewer. Write CORS(blueprint, origins=[…]); %s",
            name,
            _ON_PURPOSE,
        )
