"""What a user would write without the batch job: scikit-image around the network, everything in memory.

The same network, on an input of the same size, in float32 where ours is; no colour management, no gamut
mapping (colours that sRGB cannot hold are clipped), 8 bits.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.color import lab2rgb, rgb2lab

from pipeline.color.luminance import model_size
from pipeline.config.job import JobConfig
from pipeline.models.method_list import load_colorizer

U8 = NDArray[np.uint8]


class SimpleColorizer:
    """uint8[H,W,3] in, uint8[H,W,3] out."""

    def __init__(self, config: JobConfig) -> None:
        torch.set_num_threads(1)
        warnings.filterwarnings("ignore", message=".*negative Z values")  # of lab2rgb, for most images
        model = config.model
        self.side = model.side
        self.network = load_colorizer(model.method, model.weights, precision=model.precision).colorizer

    def __call__(self, rgb8: U8) -> U8:
        lab = rgb2lab(rgb8.astype(np.float32) / 255)
        height, width = lab.shape[:2]
        L_11HW = torch.from_numpy(np.ascontiguousarray(lab[..., 0]))[None, None]
        size = model_size(height, width, self.side)
        with torch.inference_mode():
            small = F.interpolate(L_11HW, size, mode="bilinear", antialias=True)
            ab = self.network.predict_ab(small).float()
            ab = F.interpolate(ab, (height, width), mode="bilinear")
        lab[..., 1:] = ab[0].permute(1, 2, 0).numpy()
        return np.asarray(np.rint(np.clip(lab2rgb(lab), 0, 1) * 255), dtype=np.uint8)
