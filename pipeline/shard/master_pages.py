"""Compose a page of a master strip by strip: colours, kept real colour, profile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.masters import Master
from pipeline.codecs.thumbnail_pixels import SmallStrips
from pipeline.color.real_colour import RealColour
from pipeline.config.job import ModelConfig
from pipeline.shard.compose import Composer, ComposeSettings, Measurer, Measures
from pipeline.shard.compose.keeper import ColourKeeper
from pipeline.shard.own_profile import in_profile

Levels = NDArray[Any]  # uint8 or uint16


class ProfileTooSmall(Exception):
    """The source's profile cannot hold the lightness of a strip, so the page must be written as sRGB."""


class PageComposing:
    """One page, composed strip by strip, in `depth` bits, under the profile `icc` or (None) as sRGB."""

    def __init__(
        self,
        master: Master | IsolatedMaster,
        page: int,
        ab: NDArray[np.float32],
        model: ModelConfig,
        depth: int,
        real: RealColour | None,
        icc: bytes | None,
        before: SmallStrips | None = None,
    ) -> None:
        """`before`: receives the lightness."""
        self.master, self.page, self.info, self.icc = master, page, master.infos[page], icc
        height, width = self.info.height, self.info.width
        self._composer = Composer(ab, height, width, ComposeSettings(chroma=model.chroma), depth=depth)
        is_kept = real is not None and model.keep_color
        self._keeper = ColourKeeper(real, height, width) if real is not None and is_kept else None
        self._measurer = Measurer(depth if icc is None else 8)
        self._max_delta_l, self._before = 0.0, before

    def strips(self) -> Iterator[tuple[Levels, Levels | None]]:
        """From the top: the colour pixels of whole rows, and alpha of the master's depth or None.

        Raises:
            ProfileTooSmall: as it says. ImageFailure: the master cannot be read to its end.
        """
        top = 0
        for l_u16, alpha, rgb8 in self._sources():
            if self._before is not None:
                self._before.put(l_u16, alpha)
            rgb = self._composer.strip(l_u16, alpha)
            if self._keeper is not None and rgb8 is not None:
                self._keeper.lay(rgb, l_u16, rgb8, top)
            top += len(rgb)
            if (kept := in_profile(rgb, l_u16, self.icc)) is not None:
                if not kept.holds:
                    raise ProfileTooSmall
                self._max_delta_l = max(self._max_delta_l, kept.max_delta_l)
                self._measurer.add(kept.srgb8, l_u16, alpha)
                yield kept.pixels, alpha
                continue
            if self._keeper is not None:
                self._measurer.add(rgb, l_u16, alpha)
            yield rgb, alpha

    def _sources(self) -> Iterator[tuple[NDArray[np.uint16], Levels | None, NDArray[np.uint8] | None]]:
        if self._keeper is not None:
            yield from self.master.coloured_strips(self.page)
        else:
            yield from ((l_u16, alpha, None) for l_u16, alpha in self.master.strips(self.page))

    def measures(self) -> Measures:
        """Of the strips so far."""
        if self.icc is not None:
            measured = self._measurer.measures()
            return Measures(self._max_delta_l, measured.mean_chroma, measured.colorfulness)
        return (self._composer if self._keeper is None else self._measurer).measures()
