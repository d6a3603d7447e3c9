"""The base of configuration sections and stored records, and quantities such as `64MiB`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{u}b": n for u, n in list(_UNITS.items()) if u and u != "b"}
_UNITS |= {f"{u}ib": 1024**i for i, u in enumerate("kmgt", start=1)}


class Section(BaseModel):
    """Base of all pydantic models read from files: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_quantity(value: Any) -> Any:
    """`64MiB`, `2 GiB`, `100M` or a plain number as an int; anything else is left for pydantic to refuse."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*", value)
        if match and match[2].lower() in _UNITS:
            return int(float(match[1]) * _UNITS[match[2].lower()])
    return value


Quantity = Annotated[int, BeforeValidator(parse_quantity)]
