"""How results are written: the section `output`. A setting without effect is an error.

A setting counts as set if it differs from its default, because the saved configuration of a run lists all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.section import Section

_ACCESS_SIDE = 3000  # pixels: fills every screen, and an A4 print at 250 per inch


def _ratio(value: Any) -> Any:
    """YAML 1.1 reads an unquoted 4:2:0 as a base-60 number: 14,520."""
    return f"{value // 3600}:{value // 60 % 60}:{value % 60}" if isinstance(value, int) else value


Subsampling = Annotated[Literal["auto", "4:4:4", "4:2:2", "4:2:0"], BeforeValidator(_ratio)]


class C2paConfig(Section):
    """Signed manifests in the results; the private key stays in its file or in the environment."""

    certificates: str | None = Field(
        None, description="PEM file: signer's certificate, then its issuers'; null: no manifest"
    )
    key: str | None = Field(None, description="PEM file of the private key; null: use FIAT_COLOR_C2PA_KEY")
    algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = "es256"
    timestamp_url: str | None = Field(None, description="RFC 3161 time stamping authority; null: no stamp")


def _refuse_idle(section: Any, path: str, name: str, formats: tuple[str, ...]) -> None:
    """Raise ValueError if the setting differs from its default and the format is not one of these."""
    value = getattr(section, name)
    if value != type(section).model_fields[name].default and section.format not in formats:
        raise ValueError(
            f"{path}.{name}={value} has no effect on {path}.format={section.format}, "
            f"only on {' or '.join(formats)}: leave it out or change the format"
        )


class DerivativeConfig(Section):
    """A second file of each image, from the same coloured pixels, in 8 bits, below OUT/derivatives."""

    format: Literal["none", "jpeg", "tiff_pyramid"] = Field(
        "none", description="a JPEG for access, or a tiled pyramid for IIIF image servers"
    )
    side: int | None = Field(
        None, ge=16, le=16_000, description="longest side, pixels; null: 3000 for jpeg, all for tiff_pyramid"
    )
    quality: int = Field(88, ge=1, le=100, description="of the JPEG, or of the pyramid's JPEG tiles")
    compression: Literal["auto", "jpeg", "deflate"] = Field(
        "auto", description="of the pyramid's tiles: auto is jpeg"
    )

    @property
    def file_format(self) -> Literal["jpeg", "tiff"]:
        """The file format, by the names of `OutputConfig.format`; not for "none"."""
        return "jpeg" if self.format == "jpeg" else "tiff"

    @property
    def longest(self) -> int | None:
        """The longest side that `side` stands for; None for the image's own."""
        return _ACCESS_SIDE if self.side is None and self.format == "jpeg" else self.side

    @model_validator(mode="after")
    def _effective(self) -> DerivativeConfig:
        pyramid = ("tiff_pyramid",)
        _refuse_idle(self, "output.derivative", "side", ("jpeg", *pyramid))
        _refuse_idle(self, "output.derivative", "quality", ("jpeg", *pyramid))
        _refuse_idle(self, "output.derivative", "compression", pyramid)
        if self.compression == "deflate" and self.quality != type(self).model_fields["quality"].default:
            raise ValueError(
                f"output.derivative.quality={self.quality} has no effect on tiles with compression=deflate: "
                "leave one of them out"
            )
        return self


class OutputConfig(Section):
    """How results are written."""

    format: Literal["jpeg", "png", "webp", "tiff", "jp2"] = "jpeg"
    quality: int = Field(92, ge=1, le=100, description="JPEG and WebP quality")
    subsampling: Subsampling = Field(
        "auto", description="chroma subsampling of JPEG; auto: 4:4:4 from quality 90 on, 4:2:0 below"
    )
    compression: Literal["auto", "none", "lzw", "deflate"] = Field(
        "auto", description="compression of TIFF, with horizontal differencing; auto: deflate"
    )
    depth: Literal["auto", 8] = Field(
        "auto",
        description="bits per sample of TIFF, PNG and JP2; auto: those of the source, 8 or 16",
    )
    suffix: str = Field(
        "append",
        pattern=r"^(append|replace|[_-][A-Za-z0-9_-]{0,39})$",
        description="a.tif as JPEG: append: a.tif.jpg; replace: a.jpg; a text such as _color: a_color.jpg",
    )
    pages: Literal["auto", "separate", "tiff"] = Field(
        "auto",
        description="pages of a TIFF: separate: KEY/page-0001.jpg and so on; tiff: all in one TIFF; "
        "auto: tiff if the format is tiff, else separate",
    )
    digital_source_type: Literal[
        "compositeWithTrainedAlgorithmicMedia", "algorithmicallyEnhanced", "trainedAlgorithmicMedia"
    ] = Field("compositeWithTrainedAlgorithmicMedia", description="IPTC DigitalSourceType of every output")
    label: Literal["none", "band", "watermark"] = Field(
        "none", description="visible text: a band below the picture, or small letters in its corner"
    )
    label_text: str = Field("Colours added by software", pattern=r"^[^\r\n]+$", max_length=200)
    derivative: DerivativeConfig = DerivativeConfig()
    c2pa: C2paConfig = C2paConfig()

    @property
    def tiff_compression(self) -> Literal["none", "lzw", "deflate"]:
        """The compression that `compression` stands for in a TIFF."""
        return "deflate" if self.compression == "auto" else self.compression

    @property
    def has_separate_pages(self) -> bool:
        """Whether each page of a source becomes its own file."""
        return self.pages == "separate" or (self.pages == "auto" and self.format != "tiff")

    @property
    def of_one_document(self) -> OutputConfig:
        """These settings for all pages in one file: the format is tiff."""
        return self if self.format == "tiff" else self.model_copy(update={"format": "tiff"})

    @model_validator(mode="after")
    def _effective(self) -> OutputConfig:
        _refuse_idle(self, "output", "quality", ("jpeg", "webp"))
        _refuse_idle(self, "output", "subsampling", ("jpeg",))
        _refuse_idle(self, "output", "compression", ("tiff",))
        _refuse_idle(self, "output", "depth", ("tiff", "png", "jp2"))
        if self.format == "jp2" and self.c2pa.certificates is not None:
            raise ValueError(
                "output.c2pa cannot sign output.format=jp2, because C2PA does not support it: "
                "leave it out or change the format"
            )
        return self
