"""The configuration of `jobs/prepare_photos.py`."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Quantity, Section
from pipeline.config.storage import StorageConfig


class PhotosConfig(Section):
    """How colour photographs become training rows."""

    short_side: int = Field(
        256, ge=32, le=4096, description="short side in pixels; larger photographs are scaled down to it"
    )
    quality: int = Field(
        95, ge=50, le=100, description="JPEG quality of scaled photographs, without subsampling"
    )
    min_chroma: float = Field(3.0, ge=0, description="photographs of a lower mean chroma (Lab) are near-gray")
    hash_distance: int = Field(6, ge=0, le=7, description="differing bits of 128 that still mean a duplicate")
    val_permille: int = Field(30, ge=0, le=500, description="photographs in 1,000 kept for validation")
    pixels: Quantity = Field(100_000_000, ge=1, description="larger photographs are not decoded")
    exclude: tuple[str, ...] = Field((), description="files to leave out, as glob patterns of their keys")
    licences: tuple[str, ...] = Field((), description="licences to take, as glob patterns; none: all")
    not_licences: tuple[str, ...] = Field((), description="licences to exclude nevertheless, likewise")
    max_unreadable: float = Field(0.05, ge=0, le=1, description="a larger share stops the run")
    part_images: int = Field(1000, ge=1, description="photographs in one Parquet file")
    group_images: int = Field(250, ge=1, description="photographs in one row group, read as one in training")
    threads: int = Field(4, ge=1, le=64, description="threads that read and decode")


class PrepareConfig(Section):
    """The whole configuration of `jobs/prepare_photos.py`."""

    photos: PhotosConfig = PhotosConfig()
    storage: StorageConfig = StorageConfig()
