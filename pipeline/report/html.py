"""Render HTML pages from Jinja templates, with escaping."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, **values: object) -> str:
    """The page that a template makes of these values.

    Every value is escaped, because keys and messages come from outside; values that already are HTML must be
    `markupsafe.Markup`. A missing value that the template uses is an error.

    Raises:
        jinja2.TemplateError: the template is missing or invalid, or uses a value that is not given.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
