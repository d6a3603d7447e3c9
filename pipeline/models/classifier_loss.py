"""Losses on the output of a classifier for the predicted colours: features and classes.

The classifier is EfficientNet-Lite1, not Lite0: that one judges in the evaluation, and must not teach.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.color.spaces_torch import lab_to_srgb_t
from pipeline.models.efficientnet_lite import EfficientNetLite0, normalise, pretrained_lite1

SIDE = 160
"""Pixels to which the crops are resized: at the 128 of most trainings the classifier recognises little, at
240 it takes longer than all the rest of a step."""
IMAGES = 16
"""So many crops of a batch are classified, the first ones; crops come in random order."""


@functools.cache
def _classifier(device: str) -> EfficientNetLite0:
    network = pretrained_lite1().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    frozen: EfficientNetLite0 = network.requires_grad_(False)
    return frozen


def classifier_losses(L_B1HW: Tensor, ab_B2hw: Tensor, true_ab_B2HW: Tensor) -> tuple[Tensor, Tensor]:
    """Two scalars, both 0 where the colours are the true ones, means over the images that are classified:

    - the distance of feature maps as in LPIPS (Zhang et al., CVPR 2018, equation 1, all weights 1, the mean
      over stages), at most 4;
    - the divergence (Kullback and Leibler) of the classes of the prediction from those of the truth, nats.

    Raises ConfigError where the classifier's weights are not installed.
    """
    L, true_ab = L_B1HW[:IMAGES], true_ab_B2HW[:IMAGES]
    ab = F.interpolate(ab_B2hw[:IMAGES], L.shape[-2:], mode="bilinear", align_corners=False)
    with torch.no_grad():
        true_maps, true_logits = _classified(L, true_ab)
    maps, logits = _classified(L, ab)
    distances = [
        (F.normalize(one.float(), dim=1) - F.normalize(other.float(), dim=1)).square().sum(1).mean()
        for one, other in zip(maps, true_maps, strict=True)
    ]
    predicted, true = torch.log_softmax(logits.float(), 1), torch.softmax(true_logits.float(), 1)
    return torch.stack(distances).mean(), F.kl_div(predicted, true, reduction="batchmean")


def _classified(L_B1HW: Tensor, ab_B2HW: Tensor) -> tuple[list[Tensor], Tensor]:
    with torch.autocast(L_B1HW.device.type, enabled=False):  # bfloat16 would round colours to whole levels
        rgb_B3HW = lab_to_srgb_t(torch.cat([L_B1HW, ab_B2HW], 1))
        rgb_B3HW = F.interpolate(rgb_B3HW, (SIDE, SIDE), mode="bilinear", align_corners=False)
    network = _classifier(str(L_B1HW.device))
    maps = network.feature_maps(normalise(rgb_B3HW).contiguous(memory_format=torch.channels_last))
    return maps, network.top(maps)[1]
