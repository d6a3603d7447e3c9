"""Colour metrics over 8-bit sRGB images, uint8[H,W,3], each with its source.

All raise ValueError where an image has another shape or type, or a pair differs in size.
Lab is CIELAB D65 as in `pipeline.color`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000

from pipeline.color import srgb_to_lab

Rgb8 = NDArray[np.uint8]


def _checked(*images: Rgb8) -> None:
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"want uint8[H,W,3]; got {image.dtype} {image.shape}")
        if image.shape != images[0].shape:
            raise ValueError(f"the images differ in size: {images[0].shape} and {image.shape}")


def _lab(rgb8: Rgb8) -> NDArray[np.float64]:
    return np.asarray(srgb_to_lab(rgb8.astype(np.float64) / 255), dtype=np.float64)


def psnr(rgb8_a: Rgb8, rgb8_b: Rgb8) -> float:
    """Peak signal-to-noise ratio in dB over all RGB values, peak 255; `inf` for equal images.

    Source: ITU-T J.340 (2010); the form used by Cheng et al. 2015 and Zhang et al. 2016 for colorization.
    """
    _checked(rgb8_a, rgb8_b)
    mse = float(np.mean((rgb8_a.astype(np.float64) - rgb8_b.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(255.0**2 / mse))


def ab_rmse(rgb8_a: Rgb8, rgb8_b: Rgb8) -> float:
    """Root mean square error per pixel and channel in the ab plane, Lab units.

    Source: Deshpande, Rock, Forsyth, "Learning Large-Scale Automatic Image Colorization", ICCV 2015 (RMSE),
    over a and b as in Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016.
    """
    _checked(rgb8_a, rgb8_b)
    return float(np.sqrt(np.mean((_lab(rgb8_a)[..., 1:] - _lab(rgb8_b)[..., 1:]) ** 2)))


def ciede2000(rgb8_a: Rgb8, rgb8_b: Rgb8) -> float:
    """Mean CIEDE2000 colour difference, kL = kC = kH = 1.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", Color Research & Application
    30(1), 2005, as implemented by scikit-image.
    """
    _checked(rgb8_a, rgb8_b)
    differences = deltaE_ciede2000(_lab(rgb8_a), _lab(rgb8_b))  # type: ignore[no-untyped-call]
    return float(np.mean(differences))


def colorfulness(rgb8: Rgb8) -> float:
    """Colourfulness M3, 0 for gray; 15 is slight, 33 moderate, 59 quite, 82 high.

    Source: Hasler, Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007, 2003, equation 3.
    """
    _checked(rgb8)
    red, green, blue = np.moveaxis(rgb8.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = np.hypot(rg.std(), yb.std())
    return float(spread + 0.3 * np.hypot(rg.mean(), yb.mean()))


def mean_chroma(rgb8: Rgb8) -> float:
    """Mean of C*ab = sqrt(a*^2 + b*^2) over the pixels, Lab units.

    Source: CIE 15:2018, section 8.2.1.
    """
    _checked(rgb8)
    lab = _lab(rgb8)
    return float(np.mean(np.hypot(lab[..., 1], lab[..., 2])))
