"""The contract of a colouring graph: its inputs and outputs, stored next to its weights or inside them.

An ONNX file states the shapes of its inputs but not their meaning. A graph that needs 0..255 and gets 0..1
runs without an error and gives brown pictures. The contract states what the shapes do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pipeline.config.section import Section
from pipeline.errors import WeightsError

METADATA_KEY = "fiat_color_contract"
"""Of the ONNX metadata: a contract inside the file, as JSON."""

PICTURES = ("picture", "picture_fixed")
AB_LIMIT = 110.0
"""Lab units: the range of `hint_ab` stands for -110 to 110."""

Holds = Literal["L", "gray_rgb_of_L", "luma601"]
DType = Literal["float32", "float16", "bfloat16"]


def _one_or_three(value: Any) -> Any:
    """A number stands for all channels."""
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


Channels = Annotated[tuple[float, ...], BeforeValidator(_one_or_three), Field(min_length=1, max_length=3)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Input(Section):
    """One input of the graph. Its numbers are (value - mean) / std, the value being in `range`.

    `range` is what stands for black and white of a picture, for -110 and 110 of `hint_ab`, for unknown and
    known of `hint_mask`.
    """

    name: str = Field(min_length=1)
    role: Literal["picture", "picture_fixed", "hint_ab", "hint_mask"] = "picture"
    holds: Holds | None = Field(None, description="of a picture: L*, the gray of L* as RGB, or BT.601 luma")
    range: tuple[float, float]
    mean: Channels = (0.0,)
    std: Channels = (1.0,)
    dtype: DType = "float32"
    side: int | None = Field(None, ge=8, le=4096, description="of picture_fixed: its square, pixels")

    @model_validator(mode="after")
    def _consistent(self) -> Input:
        if (self.role in PICTURES) != (self.holds is not None):
            raise ValueError("holds says what a picture holds: give it for pictures only")
        if (self.role == "picture_fixed") != (self.side is not None):
            raise ValueError("side is the size of a picture_fixed: give it only there")
        if self.range[0] >= self.range[1]:
            raise ValueError("range needs its smaller number first")
        if any(value == 0 for value in self.std):
            raise ValueError("std must not be 0: it divides")
        return self


class Size(Section):
    """The size at which the graph sees the photograph."""

    fit: Literal["stretch", "keep"] = Field(description="to a square, or with the photograph's proportions")
    side: int = Field(ge=8, le=4096, description="longest side in pixels")
    multiple_of: int = Field(8, ge=1, le=512)

    @model_validator(mode="after")
    def _divides(self) -> Size:
        if self.side % self.multiple_of:
            raise ValueError(f"side {self.side} is not a multiple of {self.multiple_of}")
        return self


class Output(Section):
    """The output of the graph. Number times `scale` plus `offset` is a and b in Lab units, RGB in [0, 1], or
    U and V of BT.601 in [-0.436, 0.436] and [-0.615, 0.615]."""

    name: str = Field(min_length=1)
    space: Literal["ab", "rgb", "uv601"]
    scale: float = Field(1.0, gt=0)
    offset: float = 0.0
    grid: Literal[1, 2, 4] = Field(1, description="1: as large as the input; 2: half of it; 4: a quarter")


class Probe(Section):
    """The mean chroma that the graph gives for the picture of `probe.probe_lightness`."""

    mean_ab: tuple[float, float]
    tolerance: float = Field(0.5, gt=0, le=10, description="Lab units, of each of the two")


class Contract(Section):
    """What the job must know about an ONNX file, in addition to what the file states itself."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="as plan and metadata call it")
    licence: str = Field(min_length=1, description="of the weights, such as Apache-2.0")
    non_commercial: bool
    source: str = Field(min_length=1, description="where the weights come from")
    sha256: tuple[Sha256, ...] = Field((), description="of the files that it is for; none: not pinned")
    inputs: tuple[Input, ...] = Field(min_length=1)
    size: Size
    output: Output
    recombine: Literal["lab", "yuv601"] = Field(
        description="what the result combines with the photograph's lightness: a, b with L*; or U, V"
    )
    probe: Probe | None = Field(None, description="null: only that the result is plausible is checked")

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        names = [one.name for one in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError("two inputs have one name")
        roles = [one.role for one in self.inputs]
        if not set(roles) & set(PICTURES):
            raise ValueError("no input is a picture: a graph without one cannot see the photograph")
        if ("hint_ab" in roles) != ("hint_mask" in roles) or roles.count("hint_ab") > 1:
            raise ValueError("hint_ab and hint_mask go together, once each")
        only = {"ab": "lab", "uv601": "yuv601"}.get(self.output.space, self.recombine)
        if self.recombine != only:
            raise ValueError(f"an output in {self.output.space} is recombined in {only}")
        return self

    @property
    def takes_hints(self) -> bool:
        """Whether the graph takes scribbles and points."""
        return any(one.role == "hint_ab" for one in self.inputs)

    def digest(self) -> str:
        """SHA-256 over what changes pixels, 64 hex digits; a corrected licence or probe does not count."""
        relevant = self.model_dump(mode="json", include={"inputs", "size", "output", "recombine"})
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def weights_digest_of(file_sha256: str, contract: Contract) -> str:
    """64 hex digits over the file and what the contract makes of it: the ledger's `weights_digest`."""
    return hashlib.sha256(f"onnx {file_sha256} {contract.digest()}".encode()).hexdigest()


def contract_of(data: Mapping[str, Any], where: str) -> Contract:
    """The contract in a mapping. `where` names it in the WeightsError of one line for what is wrong."""
    try:
        return Contract.model_validate(data)
    except ValidationError as error:
        raise WeightsError(f"the contract {where}: {_explain(error)}") from None


def parse_contract(text: bytes | str, where: str) -> Contract:
    """The contract in YAML or JSON. Raises WeightsError as `contract_of`."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"the contract {where} is not YAML: {' '.join(str(error).split())[:200]}"
        ) from None
    if not isinstance(data, dict):
        raise WeightsError(f"the contract {where} holds no keys such as 'inputs:'; docs/models.md has them")
    return contract_of(data, where)


def contract_yaml(contract: Contract) -> str:
    """YAML that `parse_contract` reads back to an equal contract."""
    return yaml.safe_dump(contract.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _explain(error: ValidationError) -> str:
    errors = error.errors()
    first = errors[0]
    key = ".".join(map(str, first["loc"])) or "as a whole"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; docs/models.md lists the keys{more}"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}{more}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing{more}"
    reason = first["msg"][0].lower() + first["msg"][1:]
    return f"{key} has the value {first['input']!r}: {reason}{more}"
