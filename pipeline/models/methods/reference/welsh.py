"""Global matching: Welsh, Ashikhmin, Mueller, "Transferring Color to Greyscale Images", SIGGRAPH 2002."""

from __future__ import annotations

import numpy as np
import scipy

from pipeline.models.methods.reference.superpixels import F32, deviation

SAMPLES_PER_SIDE = 16
"""The reference is sampled on a jittered grid of 16 x 16; the paper takes about 200 samples (section 2.1)."""

_SEED = 2002  # the jitter is the same in every run: a resumed job must write the same bytes


def remap(L_HW: F32, L_like_hw: F32) -> F32:
    """Lightness moved to another picture's mean and standard deviation (Hertzmann et al. 2001)."""
    spread = float(L_like_hw.std()) / max(float(L_HW.std()), 1e-6)
    return np.asarray((L_HW - L_HW.mean()) * spread + L_like_hw.mean(), np.float32)


def transfer(L_HW: F32, reference_3hw: F32) -> F32:
    """Chroma float32[2,H,W] of, for each pixel, the reference's sample most like it.

    Half of the likeness is lightness, half is its standard deviation in 5 x 5 pixels (section 2.1), here
    as a Euclidean distance so that a tree can find the sample. `reference_3hw`: L*, a*, b*, its
    lightness remapped to the picture's. The paper's decorrelated l-alpha-beta space is CIELAB here.
    """
    L_like = remap(reference_3hw[0], L_HW)
    rows, columns = _jittered(*L_like.shape)
    known_N2 = np.stack([L_like, deviation(L_like)], -1)[rows, columns]
    pixels_M2 = np.stack([L_HW, deviation(L_HW)], -1).reshape(-1, 2)
    _, nearest_M = scipy.spatial.cKDTree(known_N2).query(pixels_M2)
    return np.ascontiguousarray(reference_3hw[1:, rows, columns][:, nearest_M].reshape(2, *L_HW.shape))


def _jittered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of one random pixel in each cell of the grid."""
    generator = np.random.default_rng(_SEED)
    cells = np.indices((SAMPLES_PER_SIDE, SAMPLES_PER_SIDE)).reshape(2, -1)
    share = (cells + generator.random(cells.shape)) / SAMPLES_PER_SIDE
    rows, columns = (share * [[height], [width]]).astype(int)
    return rows, columns
