"""Perceptual distance, features and class from EfficientNet-Lite0, pretrained on ImageNet.

All three come from one pass over the input that the classifier was trained for: the photograph at a short
side of 256 pixels (bicubic), its middle 224 x 224. An image measured at a smaller size is enlarged to that,
which lowers the accuracy, on the ground truth as well; compare only within one evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.evaluate.photograph_list import imagenet_wnids
from pipeline.models.efficientnet_lite import normalise, pretrained_lite0
from pipeline.models.inference import fold_batch_norm

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
RESIZED, CROP = 256, 224
_EPSILON = 1e-10
"""Added by F.normalize where a vector is 0, as LPIPS does."""


@dataclass(frozen=True)
class Lite0Output:
    """Of N images: pooled `features_N1280`, `distance_N` to the first of them, and the likeliest `wnid_N`."""

    features_N1280: F32
    distance_N: F32
    wnid_N: tuple[str, ...]


class Lite0:
    """The classifier that judges pictures. Raises ConfigError where its weights are not installed."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        network = pretrained_lite0()
        fold_batch_norm(network)  # a quarter faster
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, images: Sequence[U8]) -> Lite0Output:
        """Images uint8[H,W,3] sRGB of any size; the first one is the reference of the distances."""
        crops_BHW3 = np.stack([classifier_crop(image) for image in images])
        rgb_B3HW = torch.from_numpy(crops_BHW3).permute(0, 3, 1, 2)
        maps = self._network.feature_maps(normalise(rgb_B3HW.to(self._device).float() / 255))
        features, logits = self._network.top(maps)
        wnids = imagenet_wnids()
        return Lite0Output(
            features.float().cpu().numpy(),
            feature_distance(maps).float().cpu().numpy(),
            tuple(wnids[index] for index in logits.argmax(1).tolist()),
        )


def classifier_crop(rgb8: U8) -> U8:
    """uint8[H,W,3] to uint8[224,224,3]: short side 256 (bicubic), then the middle.

    Source: the evaluation of the EfficientNet family, which crops 87.5% (Tan and Le, ICML 2019).
    """
    image = Image.fromarray(rgb8)
    factor = RESIZED / min(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    left, top = (size[0] - CROP) // 2, (size[1] - CROP) // 2
    resized = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + CROP, top + CROP)))


def feature_distance(maps: Sequence[Tensor]) -> Tensor:
    """Distance of each image of a batch to the first, from its feature maps [B,C,h,w] of several stages.

    Channel vectors are brought to length 1; squared differences are summed over channels, averaged over
    places, then over stages: 0 for equal images, at most 4.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric", CVPR 2018, equation 1, with all weights 1 (no learned ones exist for this network) and
    the mean over stages in place of the sum. Its numbers are not LPIPS numbers.
    """
    distances = []
    for features_BChw in maps:
        unit = F.normalize(features_BChw, dim=1, eps=_EPSILON)
        distances.append((unit - unit[:1]).square().sum(1).mean((1, 2)))
    return torch.stack(distances).mean(0)


def frechet_distance(x_ND: F32, y_ND: F32, weight_N: NDArray[np.integer] | None = None) -> float:
    """Frechet distance between Gaussians fitted to two sets of features, paired by rows.

    |mx - my|^2 + tr(Cx + Cy - 2 (Cx Cy)^1/2), covariances over N - 1. The last trace is the sum of the
    singular values of X Y^T / (N - 1), X and Y being the centred features: exact also where N is below the
    number of features, when the covariances are singular. Few photographs bias it upwards: compare only what
    was measured on the same ones. `weight_N`: how often each row counts (a bootstrap resample).

    Source: Dowson and Landau, J. Multivariate Analysis 12, 1982; used on Inception features as FID by Heusel
    et al., NeurIPS 2017. On other features it is another number, so call it by its features' name.
    Raises ValueError for fewer than two rows.
    """
    weight = np.ones(len(x_ND)) if weight_N is None else weight_N.astype(np.float64)
    if weight.sum() < 2:
        raise ValueError("the Frechet distance needs at least two images")
    drawn = weight > 0
    with _one_thread():
        weights = torch.from_numpy(weight[drawn])
        mean_x, x = _centred(x_ND[drawn], weights)
        mean_y, y = _centred(y_ND[drawn], weights)
        if len(x) > x.shape[1]:  # only X^T X matters: its triangular factor is smaller
            x, y = torch.linalg.qr(x, mode="r").R, torch.linalg.qr(y, mode="r").R
        cross = torch.linalg.svdvals(x @ y.T).sum()
        spread = x.square().sum() + y.square().sum() - 2 * cross
    return float((mean_x - mean_y).square().sum() + spread.clamp(min=0))


def _centred(x_ND: F32, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and deviations scaled so that their X^T X is the covariance; float64."""
    x = torch.from_numpy(x_ND).double()
    mean = weights @ x / weights.sum()
    return mean, torch.sqrt(weights / (weights.sum() - 1))[:, None] * (x - mean)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices of a few hundred rows: measured, 17 ms on one thread, 290 on two where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
