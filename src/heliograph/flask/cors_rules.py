"""
Which rule of CORS applies to a request in Flask.

Three have a say, and the first that has a rule for the request decides: the route's own
:func:`.cross_origin`; the blueprint's :class:`.CORS`, the innermost blueprint first; the
application's. Flask-CORS lets each add what the others refused, so there the strictest has
no effect.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from ..cors.resources import Resources, find_unambiguous
from ..errors import CorsConfigError
from ..faces.config_watch import ConfigWatch
from .cors_advice import CorsAdvice
from .cors_config import CONFIG_KEYS, named_by_key, options_of_config
from .cors_options import Rule, make_rule
from .cors_routes import RouteOptions, endpoint_of, options_of_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flask import Flask, Request

    from ..cors.resources import Resource

__all__ = ["AppRules"]


class AppRules:
    """
    The rules of an application, its blueprints and its routes.

    Args:
        app: The application. Its routes and its configuration are read when a request
            needs them.
    """

    def __init__(self, app: Flask) -> None:
        self._resources: Resources[Rule] = Resources()
        # By a blueprint's name as it appears in endpoints: its rules, and the beginning of
        # its paths.
        self._blueprints: dict[str, Resources[Rule]] = {}
        self._prefixes: dict[str, re.Pattern[str]] = {}
        self._routes: dict[RouteOptions, Rule] = {}
        self._app = app
        # Of what the rules were made of, since the first of them was, and what that was.
        self._watch: ConfigWatch | None = None
        self._reader = ""
        # The keys of options that calls of CORS(app) name, and that so have no effect.
        self._named: set[str] = set()
        # By a blueprint's own name: its resources that have paths in a registration, and
        # those that have none yet, each with a message.
        self._covered: dict[str, set[str]] = {}
        self._uncovered: dict[str, dict[str, str]] = {}
        self._views = app.view_functions
        self._advice = CorsAdvice()

    def add(self, rules: list[tuple[Resource, Rule]], named: Iterable[str] = ()) -> None:
        """
        Add rules for the application.

        Args:
            rules: Between equals, they win over earlier ones.
            named: The options that the call itself names.
        """
        self._resources = self._resources.before(rules)
        self._named.update(f"CORS_{name.upper()}" for name in named)
        self._note_config("CORS(app)")

    def add_blueprint(
        self, name: str, prefix: str | None, rules: list[tuple[Resource, Rule]]
    ) -> None:
        """
        Add rules for a blueprint.

        Args:
            name: The blueprint's name as it appears in endpoints.
            prefix: Its ``url_prefix``, variables included.
            rules: Between equals, they win over earlier ones.
        """
        self._blueprints[name] = self._blueprints.get(name, Resources()).before(rules)
        if prefix:
            # A variable of the prefix stands for one segment.
            fixed = map(re.escape, re.split(r"<[^>]*>", prefix.rstrip("/")))
            self._prefixes[name] = re.compile("[^/]+".join(fixed) + r"(?:/|\Z)")

    def note_covered(
        self, blueprint: str, covered: Iterable[str], uncovered: Mapping[str, str]
    ) -> bool:
        """
        Note which resources of a blueprint have paths in one of its registrations.

        Args:
            blueprint: The name that the blueprint was made with, in all registrations.
            covered: The resources that have.
            uncovered: Those that have not, each with a message: an error with the first
                request, unless another registration has paths for them.

        Returns:
            Whether a resource of the blueprint has paths by now.
        """
        known = self._covered.setdefault(blueprint, set())
        known.update(covered)
        missing = self._uncovered.setdefault(blueprint, {})
        missing.update(uncovered)
        for resource in known & missing.keys():
            del missing[resource]
        if not missing:
            del self._uncovered[blueprint]
        return bool(known)

    def find(self, request: Request, *, preflight_for: str | None = None) -> Rule | None:
        """
        Return the rule that applies to a request.

        Args:
            request: The current request.
            preflight_for: The method that the request, a preflight, asks for.

        Raises:
            CorsConfigError: The options of the route and the application's configuration
                are wrong or unsafe together, or the configuration was changed since it was
                read.
        """
        if self._uncovered:
            raise CorsConfigError(chain(*map(dict.values, self._uncovered.values())))
        if self._watch is not None:
            # Some packages replace app.config by an object of their own.
            self._watch.follow(self._app.config)
            if self._watch.may_have_changed():
                self._check_unchanged(self._watch)
        endpoint = None
        if RouteOptions.is_used or self._blueprints:
            # Only if it makes a difference: it may match the URL a second time.
            method = preflight_for or request.method
            endpoint = endpoint_of(request, method)
            own = options_of_view(self._views.get(endpoint or ""), method)
            if own is not None:
                return self._for_route(
                    own, request, endpoint, is_preflight=preflight_for is not None
                )
        path = request.path
        if "/." in path:
            rule = find_unambiguous(lambda path: self._for_path(path, endpoint), path)
        else:
            rule = self._for_path(path, endpoint)
        if self._blueprints and rule is not None and not rule.names_origins:
            self._advise_on_blueprint(request.path, endpoint)
        return rule

    def is_found(self, options: RouteOptions, request: Request) -> bool:
        """
        Return whether options are those of the view that a request was routed to.

        Args:
            options: The options of one use of :func:`.cross_origin`.
            request: The current request, when it is handled.
        """
        view = self._views.get(request.endpoint or "")
        return options_of_view(view, request.method) is options

    def warn_if_not_found(self, options: RouteOptions, request: Request) -> None:
        """
        Log a warning, once for each endpoint, if options have no effect on a request.

        Args:
            options: The options of one use of :func:`.cross_origin`.
            request: The current request, when it is handled.
        """
        endpoint = request.endpoint
        is_known = self._advice.was_given("late", endpoint)
        if not (is_known or self.is_found(options, request)):
            self._advice.about_late_decorator(endpoint)

    def _note_config(self, reader: str) -> None:
        if self._watch is None:
            self._watch = ConfigWatch(self._app.config, CONFIG_KEYS)
            self._reader = reader

    def _check_unchanged(self, watch: ConfigWatch) -> None:
        options_of_config(self._app.config)  # names what is unknown
        if changed := watch.changed():
            raise CorsConfigError(_about_change(changed, self._reader, self._named))
        watch.note()

    def _for_route(
        self,
        own: RouteOptions,
        request: Request,
        endpoint: str | None,
        *,
        is_preflight: bool,
    ) -> Rule | None:
        rule = self._routes.get(own)
        if rule is None:
            problems: list[str] = []
            of_config = options_of_config(self._app.config)
            options = {**of_config, **own.options}
            options.pop("resources", None)
            rule = make_rule(options, problems, for_what="route")
            if rule is None:
                route = self._shown(endpoint)
                names = of_config.keys() - own.options.keys()
                raise CorsConfigError(
                    f"{route}: {problem}" for problem in named_by_key(problems, names)
                )
            self._routes[own] = rule
            self._note_config("the first request")
        if not (rule.names_origins or self._advice.was_given("route", endpoint)):
            others = self._candidates(request.path, endpoint)
            if any(_is_strict(other) for _, other in others):
                self._advice.about_open_route(endpoint, self._shown(endpoint))
        if (
            request.method == "OPTIONS"
            and not is_preflight
            and not rule.automatic_options
            and getattr(request.url_rule, "provide_automatic_options", False)
        ):
            # Flask answers this request, although the view wanted to.
            return None
        return rule

    def _for_path(self, path: str, endpoint: str | None) -> Rule | None:
        if not self._blueprints:
            return self._resources.find(path)
        return next((rule for _, rule in self._candidates(path, endpoint)), None)

    def _candidates(
        self, path: str, endpoint: str | None
    ) -> Iterator[tuple[str | None, Rule]]:
        """Yield the rules for a path with their blueprints, the first of which applies."""
        for name in self._blueprints_of(path, endpoint):
            rule = self._blueprints[name].find(path)
            if rule is not None:
                yield name, rule
        rule = self._resources.find(path)
        if rule is not None:
            yield None, rule

    def _advise_on_blueprint(self, path: str, endpoint: str | None) -> None:
        """Warn if the rule that applies is a blueprint's, and others are stricter."""
        (name, _), *others = self._candidates(path, endpoint)
        if name is not None and not self._advice.was_given("blueprint", name):
            of_config = self._app.config.get("CORS_ORIGINS")
            is_open = of_config in (None, "*") or (
                isinstance(of_config, list | tuple | set) and "*" in of_config
            )
            if not is_open or any(_is_strict(rule) for _, rule in others):
                self._advice.about_open_blueprint(name)

    def _shown(self, endpoint: str | None) -> str:
        """Return how a message names a route."""
        rules = sorted({rule.rule for rule in self._app.url_map.iter_rules(endpoint)})
        return f"the route {endpoint!r} ({', '.join(rules)})"

    def _blueprints_of(self, path: str, endpoint: str | None) -> Iterator[str]:
        """Yield the names of the blueprints that a request is for, the innermost first."""
        if endpoint is None:
            # There is no route: the blueprint is the one below whose prefix the path is.
            by_length = sorted(
                self._prefixes.items(), key=lambda pair: -len(pair[1].pattern)
            )
            for name, prefix in by_length:
                if prefix.match(path):
                    yield name
            return
        name = endpoint.rpartition(".")[0]
        while name:
            if name in self._blueprints:
                yield name
            name = name.rpartition(".")[0]


def _about_change(changed: list[str], reader: str, named: set[str]) -> Iterator[str]:
    """Yield what to do about keys that were changed after they had been read."""
    late = [key for key in changed if key not in named]
    if late:
        were, them = ("was", "it") if len(late) == 1 else ("were", "them")
        yield (
            f"{' and '.join(late)} {were} changed after {reader} had read {them}, which has"
            f" no effect: move what sets {them} (app.config[{late[0]!r}] = …,"
            " app.config.from_object(…), from_prefixed_env() and the like) before"
            f" {reader}"
        )
    for key in changed:
        if key in named:
            option = key.removeprefix("CORS_").lower()
            yield (
                f"{key} was changed after {reader} had read it, and CORS(app, {option}=…)"
                f" takes precedence over it: remove {key} or {option}=…"
            )


def _is_strict(rule: Rule) -> bool:
    return not rule.policy.compiled.origins.any_origin
