"""The rules of a blueprint, when it is registered with an application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Flask

from ..cors.resource_texts import overlap
from ..errors import CorsConfigError
from .cors_hooks import cors_of

if TYPE_CHECKING:
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
        CorsConfigError: Listing every resource that covers no path of the blueprint.
    """
    assert isinstance(setup.app, Flask)  # noqa: S101 - blueprints register with nothing else
    _check_prefix(setup.blueprint.name, setup.url_prefix, rules)
    name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
    cors_of(setup.app).rules.add_blueprint(name, setup.url_prefix, rules)


def _check_prefix(
    name: str, prefix: str | None, rules: list[tuple[Resource, Rule]]
) -> None:
    # The options of such a resource would apply to nothing, and those of another resource
    # to the paths that it was meant for.
    fixed = re.split(r"<[^>]*>", (prefix or "").rstrip("/"))
    outline = "*".join(fixed)
    problems = []
    for resource, _ in rules:
        if overlap(resource.outline, outline) or overlap(resource.outline, f"{outline}/*"):
            continue
        instead = f"{outline}{resource.text}"
        if resource.is_expression:
            beginning = "[^/]+".join(map(re.escape, fixed))
            instead = beginning + resource.text.removeprefix("^")
        problems.append(
            f"resources: {resource.text!r} covers no path of the blueprint {name!r}, since"
            f" all of them begin with its url_prefix, {prefix!r}; write {instead!r}"
        )
    if problems:
        raise CorsConfigError(problems)
