"""Superpixels of a gray picture and what Gupta et al. (2012, section 3.2) compare them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

AREA = 40  # pixels of a superpixel, as in the paper
COMPACTNESS = 0.1  # of SLIC on L* in [0, 1]
DEVIATION_WINDOW = 5  # pixels, the paper's

ORIENTATIONS = 8
SCALES = 5
HIGHEST_FREQUENCY = 0.35  # cycles per pixel; half an octave less per scale
GABOR_MARGIN = 24  # pixels: beyond the largest kernel's half

DAISY_RADIUS = 15
DAISY_STEP = 2


@dataclass(frozen=True)
class Superpixels:
    """S superpixels of a picture: `labels_HW` in [0, S), and one row each of the features.

    `intensity_S2`: mean L*, own and of the neighbours; `deviation_S2`: the same of the standard deviation in
    5 x 5 pixels; `gabor_S40`: mean magnitudes; `texture_SD`: mean DAISY. `neighbours_SS` has a 1 where two
    superpixels touch.
    """

    labels_HW: I32
    intensity_S2: F32
    deviation_S2: F32
    gabor_S40: F32
    texture_SD: F32
    neighbours_SS: scipy.sparse.csr_matrix

    @property
    def count(self) -> int:
        return len(self.intensity_S2)

    def features(self) -> tuple[F32, F32, F32, F32]:
        """In the order of the cascade: Gabor, texture, intensity, deviation."""
        return self.gabor_S40, self.texture_SD, self.intensity_S2, self.deviation_S2


def superpixels(L_HW: F32, L_compared_HW: F32 | None = None) -> Superpixels:
    """Cuts a picture along its edges (SLIC, Achanta et al. 2012) and describes the pieces.

    `L_HW`: float32, L* in [0, 100]. `L_compared_HW`: the same picture with the lightness that is compared,
    where that was remapped to another picture's.
    """
    L = L_HW if L_compared_HW is None else L_compared_HW
    pieces = max(1, L_HW.size // AREA)
    labels_HW = skimage.segmentation.slic(
        L_HW / 100, n_segments=pieces, compactness=COMPACTNESS, channel_axis=None, start_label=0
    ).astype(np.int32)
    neighbours_SS = touching(labels_HW)
    around_SS = _row_means(neighbours_SS)

    def own_and_around(values_HW: F32) -> F32:
        own_S = mean_of(labels_HW, values_HW[..., None])
        return np.hstack([own_S, around_SS @ own_S]).astype(np.float32)

    return Superpixels(
        labels_HW,
        own_and_around(L),
        own_and_around(deviation(L)),
        mean_of(labels_HW, gabor_magnitudes(L)),
        _texture(labels_HW, L),
        neighbours_SS,
    )


def mean_of(labels_HW: I32, values_HWC: F32) -> F32:
    """Mean of the values in each superpixel, S x C."""
    number = labels_HW.ravel()
    members = scipy.sparse.csr_matrix((np.ones(number.size, np.float32), (number, np.arange(number.size))))
    return np.asarray(_row_means(members) @ values_HWC.reshape(number.size, -1), np.float32)


def deviation(L_HW: F32) -> F32:
    """Standard deviation of L* in the window around each pixel."""
    wide = L_HW.astype(np.float64)
    mean = scipy.ndimage.uniform_filter(wide, DEVIATION_WINDOW)
    variance = scipy.ndimage.uniform_filter(wide * wide, DEVIATION_WINDOW) - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float32)


def gabor_magnitudes(L_HW: F32) -> F32:
    """H x W x 40: responses at 8 orientations and 5 scales, without their phase."""
    padded = np.pad(L_HW / 100, GABOR_MARGIN, mode="symmetric").astype(np.float32)
    padded -= padded.mean()
    shape = [scipy.fft.next_fast_len(side + 2 * GABOR_MARGIN) for side in padded.shape]
    spectrum = scipy.fft.fft2(padded, shape)
    height, width = L_HW.shape
    planes = np.empty((*L_HW.shape, SCALES * ORIENTATIONS), np.float32)
    for number in range(SCALES * ORIENTATIONS):
        scale, orientation = divmod(number, ORIENTATIONS)
        frequency = HIGHEST_FREQUENCY / 2 ** (scale / 2)
        angle = np.pi * orientation / ORIENTATIONS
        kernel = skimage.filters.gabor_kernel(frequency, theta=angle)  # type: ignore[no-untyped-call]
        response = np.abs(scipy.fft.ifft2(spectrum * scipy.fft.fft2(kernel.astype(np.complex64), shape)))
        top, left = (GABOR_MARGIN + side // 2 for side in kernel.shape)
        planes[..., number] = response[top : top + height, left : left + width]
    return planes


def touching(labels_HW: I32) -> scipy.sparse.csr_matrix:
    """S x S, float32: 1 where two superpixels share an edge of two pixels."""
    pairs = [(labels_HW[:, 1:], labels_HW[:, :-1]), (labels_HW[1:], labels_HW[:-1])]
    one = np.concatenate([a.ravel() for a, _ in pairs])
    other = np.concatenate([b.ravel() for _, b in pairs])
    apart = one != other
    one, other = one[apart], other[apart]
    count = int(labels_HW.max()) + 1
    ones = np.ones(2 * one.size, np.float32)
    both = (np.concatenate([one, other]), np.concatenate([other, one]))
    graph = scipy.sparse.csr_matrix((ones, both), shape=(count, count))
    graph.data[:] = 1
    return graph


def _texture(labels_HW: I32, L_HW: F32) -> F32:
    """Mean DAISY descriptor (Tola, Lepetit, Fua 2010) of each superpixel: the kept equivalent of SURF.

    Both are histograms of gradients around a point; SURF is in no library that is kept up.
    """
    padded = np.pad(L_HW / 100, DAISY_RADIUS, mode="symmetric")
    grid_hwD = skimage.feature.daisy(  # type: ignore[no-untyped-call]
        padded, step=DAISY_STEP, radius=DAISY_RADIUS, rings=2, histograms=6
    ).astype(np.float32)
    height, width = grid_hwD.shape[:2]
    # A superpixel may lie between the grid's points: the one nearest to its centre counts for it always.
    rows, columns = np.indices(labels_HW.shape, dtype=np.float32)
    centres = mean_of(labels_HW, np.stack([rows, columns], -1)) / DAISY_STEP
    nearest = np.rint(centres).astype(int)
    nearest_S = np.minimum(nearest[:, 0], height - 1) * width + np.minimum(nearest[:, 1], width - 1)
    number = np.concatenate([labels_HW[::DAISY_STEP, ::DAISY_STEP].ravel(), np.arange(len(centres))])
    point = np.concatenate([np.arange(height * width), nearest_S])
    members = scipy.sparse.csr_matrix(
        (np.ones(number.size, np.float32), (number, point)), shape=(len(centres), height * width)
    )
    return np.asarray(_row_means(members) @ grid_hwD.reshape(height * width, -1), np.float32)


def _row_means(members: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """Scaled so that a product with it averages over each row's members; a row without any gives 0."""
    sums = np.asarray(members.sum(axis=1)).ravel()
    return scipy.sparse.diags(1 / np.maximum(sums, 1e-9), dtype=np.float32) @ members
