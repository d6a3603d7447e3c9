"""What the patch method knows of a pixel, and how its chroma is refined."""

from __future__ import annotations

import numpy as np
import torch
from skimage.feature import daisy as skimage_daisy

from pipeline.models.base import Objective
from pipeline.models.methods.patch import PatchColorizer
from pipeline.models.methods.patch.bilateral import joint_bilateral
from pipeline.models.methods.patch.features import (
    DAISY_CHANNELS,
    ORIENTATIONS,
    daisy,
    patches,
    semantic_encoder,
)


def lightness(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2)) * 100


def test_a_patch_is_the_49_pixels_around() -> None:
    L_B1HW = lightness(1, 1, 16, 24)
    result = patches(L_B1HW, 2)
    assert result.shape == (1, 49, 8, 12)
    window = L_B1HW[0, 0, 8 - 3 : 8 + 4, 12 - 3 : 12 + 4]
    torch.testing.assert_close(result[0, :, 4, 6].reshape(7, 7) * 25 + 50, window)


def test_daisy_points_where_the_gradient_does() -> None:
    """A ramp to the right: everything in direction 0, the same everywhere; upside down it is direction 4."""
    ramp = torch.linspace(10, 90, 64).expand(1, 1, 64, 64)
    for picture, direction in ((ramp, 0), (ramp.flip(3), 4), (ramp.mT, 2), (ramp.mT.flip(2), 6)):
        histograms = daisy(picture, 2)[0, :, 16, 16].reshape(-1, ORIENTATIONS)
        assert histograms.shape[0] * ORIENTATIONS == DAISY_CHANNELS
        assert (histograms.argmax(1) == direction).all()
    flat = daisy(torch.full((1, 1, 64, 64), 40.0), 2)
    assert float(flat.abs().max()) < 1e-4


def test_daisy_is_scikit_images_kind() -> None:
    """Where scikit-image finds two places alike, so does this one: their likenesses correlate."""
    smooth = torch.nn.functional.interpolate(lightness(1, 1, 12, 12), (64, 64), mode="bicubic")
    ours = daisy(smooth, 4)[0, :, 5:-5, 5:-5].flatten(1).T.numpy()
    theirs = skimage_daisy(
        np.pad(smooth[0, 0].numpy() / 100, 7, mode="edge"),
        step=4, radius=7, rings=1, histograms=8, orientations=8, sigmas=[2.0, 3.5], ring_radii=[7],
    )[5:-5, 5:-5].reshape(len(ours), -1)  # fmt: skip
    upper = np.triu_indices(len(ours), 1)

    def likeness(rows: np.ndarray) -> np.ndarray:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return (unit @ unit.T)[upper]

    assert np.corrcoef(likeness(ours), likeness(theirs))[0, 1] > 0.8


class TestJointBilateral:
    def test_chroma_does_not_cross_an_edge(self) -> None:
        L = torch.cat([torch.full((1, 1, 20, 10), 20.0), torch.full((1, 1, 20, 10), 80.0)], 3)
        ab = torch.cat([torch.full((1, 2, 20, 10), 30.0), torch.full((1, 2, 20, 10), -10.0)], 3)
        torch.testing.assert_close(joint_bilateral(ab, L), ab)

    def test_noise_on_one_surface_goes(self) -> None:
        L = torch.full((1, 1, 40, 40), 50.0)
        noise = torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(0)) * 10
        refined = joint_bilateral(20 + noise, L)
        assert float(refined.std()) < 0.25 * float(noise.std())
        assert abs(float(refined.mean()) - 20) < 1

    def test_it_is_the_weighted_mean_that_it_says(self) -> None:
        L, ab = lightness(1, 1, 7, 9), lightness(1, 2, 7, 9)
        rows, columns = torch.meshgrid(torch.arange(7), torch.arange(9), indexing="ij")
        near = ((rows - 3).abs() <= 5) & ((columns - 4).abs() <= 5)
        apart = ((rows - 3) ** 2 + (columns - 4) ** 2) / 9 + ((L[0, 0] - L[0, 0, 3, 4]) / 5) ** 2
        weight = torch.exp(-0.5 * apart) * near
        wanted = (weight * ab[0]).sum((1, 2)) / weight.sum()
        torch.testing.assert_close(joint_bilateral(ab, L)[0, :, 3, 4], wanted)


def test_the_classifier_is_borrowed_not_owned() -> None:
    """It is neither saved with the network nor changed by training it."""
    colorizer = PatchColorizer()
    before = {name: tensor.clone() for name, tensor in semantic_encoder().state_dict().items()}
    stored = sum(t.numel() * (2 if t.ndim > 1 else 4) for t in colorizer.state_dict().values())
    assert stored < 1_000_000
    optimizer = torch.optim.AdamW(colorizer.train().parameters(), lr=0.1)
    ab = torch.full((2, 2, 64, 64), 20.0)
    colorizer(lightness(2, 1, 64, 64), ab, torch.tensor([-1, -1]), Objective())["loss"].backward()
    optimizer.step()
    assert all(tensor.equal(before[name]) for name, tensor in semantic_encoder().state_dict().items())
    assert not semantic_encoder().training
