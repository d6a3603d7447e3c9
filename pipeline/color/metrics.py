"""Colour metrics, each with its source, over 8-bit sRGB images, uint8[H,W,3], or their CIELAB D65,
float64[H,W,3] from `to_lab`: convert a photograph once to compare it with many colourings.

All raise ValueError for an image of another shape or type, and for two images of different size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000
from skimage.metrics import structural_similarity

from pipeline.color.spaces import srgb_to_lab

Rgb8 = NDArray[np.uint8]
Lab = NDArray[np.float64]

AUC_LARGEST = 150
"""Lab units: no two sRGB colours are further apart than about this in a and b."""

COLOURED, VISIBLE, SAME_HUE = 20.0, 12.0, 30.0
"""Chroma, Lab units, of what is plainly coloured and of a guess that is not gray to the eye; and how far, in
degrees, hues may be apart that have one name."""

SMALLEST_SIDE = 11
"""Pixels: the window of `ssim` must fit into the image."""


def _checked(*images: Rgb8) -> None:
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"expected uint8[H,W,3]; got {image.dtype} {image.shape}")
        if image.shape != images[0].shape:
            raise ValueError(f"the images differ in size: {images[0].shape} and {image.shape}")


def _checked_lab(*images: Lab) -> None:
    for image in images:
        if image.dtype != np.float64 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"expected float64[H,W,3] of CIELAB; got {image.dtype} {image.shape}")
        if image.shape != images[0].shape:
            raise ValueError(f"the images differ in size: {images[0].shape} and {image.shape}")


def to_lab(rgb8: Rgb8) -> Lab:
    """uint8[H,W,3] sRGB to float64[H,W,3] CIELAB D65."""
    _checked(rgb8)
    return np.asarray(srgb_to_lab(rgb8.astype(np.float64) / 255), dtype=np.float64)


def psnr(rgb8_a: Rgb8, rgb8_b: Rgb8) -> float:
    """Peak signal-to-noise ratio in dB over all RGB values, peak 255; `inf` for equal images.

    Source: ITU-T J.340 (2010); the form used by Cheng et al. 2015 and Zhang et al. 2016 for colorization.
    """
    _checked(rgb8_a, rgb8_b)
    mse = float(np.mean((rgb8_a.astype(np.float64) - rgb8_b.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(255.0**2 / mse))


def ssim(rgb8_a: Rgb8, rgb8_b: Rgb8) -> float:
    """Mean structural similarity over R, G and B, 1 for equal images, L = 255, K1 = 0.01, K2 = 0.03.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE TIP 13(4), 2004, section III.C: an 11x11 Gaussian window of sigma 1.5; per channel, as
    colorization papers apply it, by scikit-image. Raises ValueError for a side below SMALLEST_SIDE.
    """
    _checked(rgb8_a, rgb8_b)
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        rgb8_a, rgb8_b, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    return float(similarity)


def ab_rmse(lab_a: Lab, lab_b: Lab) -> float:
    """Root mean square error per pixel and channel in the ab plane, Lab units.

    Source: Deshpande, Rock, Forsyth, "Learning Large-Scale Automatic Image Colorization", ICCV 2015 (RMSE),
    over a and b as in Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016.
    """
    _checked_lab(lab_a, lab_b)
    return float(np.sqrt(np.mean((lab_a[..., 1:] - lab_b[..., 1:]) ** 2)))


def ab_auc(lab_a: Lab, lab_b: Lab) -> float:
    """Area under the curve of ab error, 1 for equal chroma, 0 for errors of 150 Lab units everywhere.

    The curve is the share of pixels whose distance in the ab plane is at most t, for t = 0, 1, ..., 150;
    its area by the trapezoidal rule, divided by 150.

    Source: Deshpande, Rock, Forsyth, "Learning Large-Scale Automatic Image Colorization", ICCV 2015, with
    the thresholds of Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016, section 3.1 (AuC).
    """
    _checked_lab(lab_a, lab_b)
    distances = np.hypot(lab_a[..., 1] - lab_b[..., 1], lab_a[..., 2] - lab_b[..., 2]).ravel()
    # A pixel at distance d is counted from the first threshold that is no smaller: ceil(d).
    first = np.ceil(np.minimum(distances, AUC_LARGEST + 1)).astype(np.int64)
    shares = np.cumsum(np.bincount(first, minlength=AUC_LARGEST + 2))[: AUC_LARGEST + 1] / distances.size
    return float(np.trapezoid(shares) / AUC_LARGEST)


def ciede2000(lab_a: Lab, lab_b: Lab) -> float:
    """Mean CIEDE2000 colour difference, kL = kC = kH = 1.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", Color Research & Application
    30(1), 2005, as implemented by scikit-image.
    """
    _checked_lab(lab_a, lab_b)
    return float(np.mean(deltaE_ciede2000(lab_a, lab_b)))  # type: ignore[no-untyped-call]


def colorfulness(rgb8: Rgb8) -> float:
    """Colourfulness M3 (signed), 0 for gray; 15 is slight, 33 moderate, 59 quite, 82 high.

    Source: Hasler, Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007, 2003, equation 3.
    """
    return _colorfulness(*_opponents(rgb8))


def colorfulness_absolute(rgb8: Rgb8) -> float:
    """The variant of `colorfulness` with |R - G| and |(R + G)/2 - B|: smaller, for opposite hues cancel out
    in its spread. It is what published colorization numbers hold; not to be compared with the signed one.

    Source: the evaluation code of DDColor (Kang et al., ICCV 2023) and CT2 (Weng et al., ECCV 2022).
    """
    rg, yb = _opponents(rgb8)
    return _colorfulness(np.abs(rg), np.abs(yb))


def mean_chroma(lab: Lab) -> float:
    """Mean of C*ab = sqrt(a*^2 + b*^2) over the pixels, Lab units.

    Source: CIE 15:2018, section 8.2.1.
    """
    _checked_lab(lab)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def right_share(lab: Lab, guess_lab: Lab) -> float:
    """Share of the plainly COLOURED pixels of `lab` whose guess is VISIBLE and of the SAME_HUE, in [0, 1];
    NaN where none is coloured.

    Brown or gray for red does not count here; in an error it is nearer to the truth than blue. A measure of
    this project; hue angle and chroma are those of CIE 15:2018, section 8.2.1.
    """
    _checked_lab(lab, guess_lab)
    a, b = lab[..., 1], lab[..., 2]
    guess_a, guess_b = guess_lab[..., 1], guess_lab[..., 2]
    chroma, guess_chroma = np.hypot(a, b), np.hypot(guess_a, guess_b)
    coloured = chroma >= COLOURED
    if not coloured.any():
        return float("nan")
    near = a * guess_a + b * guess_b >= np.cos(np.radians(SAME_HUE)) * chroma * guess_chroma
    return float((near & (guess_chroma >= VISIBLE))[coloured].mean())


def _opponents(rgb8: Rgb8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    _checked(rgb8)
    red, green, blue = np.moveaxis(rgb8.astype(np.float64), -1, 0)
    return red - green, (red + green) / 2 - blue


def _colorfulness(rg: NDArray[np.float64], yb: NDArray[np.float64]) -> float:
    spread = np.hypot(rg.std(), yb.std())
    return float(spread + 0.3 * np.hypot(rg.mean(), yb.mean()))
