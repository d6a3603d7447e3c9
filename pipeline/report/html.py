"""HTML pages from Jinja templates; whatever a page says, its template decides, and escapes."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, **values: object) -> str:
    """The page that a template makes of these values.

    Every value is escaped, for keys and messages come from outside; a value that is HTML already is a
    `markupsafe.Markup`. A value that the template asks for and does not get is an error.

    Raises:
        jinja2.TemplateError: the template is not there, is no template, or asks for what is not given.
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
