"""The rules of a blueprint, when it is registered with an application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Flask

from ..cors.regex import UnsafeRegexError
from ..cors.resource_texts import UnmatchableError, overlap
from ..cors.resources import parse_resource
from ..errors import CorsConfigError
from .cors_hooks import cors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.blueprints import BlueprintSetupState

    from ..cors.resources import Resource
    from .cors_options import Rule

__all__ = ["add_to_blueprint"]


def add_to_blueprint(
    rules: list[tuple[Resource, Rule]], setup: BlueprintSetupState
) -> None:
    """
    Add the rules of a blueprint to the application that it is registered with.

    Args:
        rules: The rules of the blueprint.
        setup: The registration. Flask passes it.

    Raises:
        CorsConfigError: No resource covers a path of the blueprint, in this registration
            or an earlier one. If some do, the others may be meant for a later one; if they
            are not, the first request raises it.
    """
    assert isinstance(setup.app, Flask)  # noqa: S101 - blueprints register with nothing else
    app_rules = cors_of(setup.app).rules
    uncovered = _uncovered(setup, rules)
    covered = {resource.text for resource, _ in rules} - uncovered.keys()
    known = app_rules.note_covered(setup.blueprint.name, covered, uncovered)
    if not known:
        raise CorsConfigError(uncovered.values())
    name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
    app_rules.add_blueprint(name, setup.url_prefix, rules)


def _uncovered(
    setup: BlueprintSetupState, rules: list[tuple[Resource, Rule]]
) -> dict[str, str]:
    """Return the resources that cover no path of a blueprint, each with a message."""
    # The options of such a resource would apply to nothing, and those of another resource
    # to the paths that it was meant for.
    prefix = setup.url_prefix or ""
    outline = _with_variables(prefix, "*", str)
    problems = {}
    for resource, _ in rules:
        if overlap(resource.outline, outline) or overlap(resource.outline, f"{outline}/*"):
            continue
        problems[resource.text] = (
            f"resources: {resource.text!r} covers no path of the blueprint"
            f" {setup.blueprint.name!r}, which is registered below {prefix!r}; write"
            f" {_below(prefix, setup.blueprint.url_prefix, resource)}"
        )
    return problems


def _below(prefix: str, own: str | None, resource: Resource) -> str:
    """
    Return what to write instead of a resource that is not below a blueprint's prefix.

    Args:
        prefix: The prefix of all its paths.
        own: The prefix that the blueprint was made with: an outer blueprint, or the
            registration, has added to it or replaced it. The resource may begin with it.
        resource: The resource.
    """
    star, change = ("[^/]+", re.escape) if resource.is_expression else ("*", str)
    beginning = _with_variables(prefix, star, change)
    ours = _with_variables(own or "", star, change)
    rest = resource.text.removeprefix("^") if resource.is_expression else resource.text
    if rest == ours or rest.startswith(f"{ours}/"):
        rest = rest.removeprefix(ours)
    try:
        return repr(parse_resource(beginning + rest).text)
    except (UnmatchableError, UnsafeRegexError):
        return f"a path that begins with {beginning!r}"


def _with_variables(prefix: str, star: str, change: Callable[[str], str]) -> str:
    """Return a prefix without a slash at its end, and with a star for each variable."""
    return star.join(map(change, re.split(r"<[^>]*>", prefix.rstrip("/"))))
