"""Doubt signals of a network do not change a bit of its prediction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.models.ab_bins import BINS, bins
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.signals import SPREAD, bin_spread


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So few pixels are quicker on one thread, and far quicker where others use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def logits_of(*bin_indices: int) -> torch.Tensor:
    """A distribution that is spread evenly over these bins, everywhere: 1 x Q x 2 x 3."""
    logits = torch.full((1, BINS, 2, 3), -40.0)
    logits[:, list(bin_indices)] = 0.0
    return logits


def index_of(a: float, b: float) -> int:
    return int((bins() - torch.tensor([a, b])).norm(dim=1).argmin())


def test_a_sure_network_has_no_spread() -> None:
    spread = dict(zip(SPREAD, bin_spread(logits_of(index_of(30, 40))).numbers_BK[0].tolist(), strict=True))
    assert spread["expected_chroma"] == pytest.approx(50, abs=1e-3)
    # the smallest difference is the root of a floor, 0.03
    rest = {name: value for name, value in spread.items() if name != "expected_chroma"}
    assert all(value < 0.05 for value in rest.values()), rest


def test_two_colours_are_twenty_apart() -> None:
    two = logits_of(index_of(20, 0), index_of(-20, 0))
    mean, high, entropy, chroma, difference = bin_spread(two).numbers_BK[0].tolist()
    assert (mean, high, chroma) == pytest.approx((20, 20, 20), abs=1e-3)
    assert entropy == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-4)
    assert 8 < difference < 20  # from gray to chroma 20, as people see it


def test_two_heads_may_differ() -> None:
    other = torch.tensor([3.0, 4.0])[None, :, None, None].expand(1, 2, 2, 3)
    assert bin_spread(logits_of(index_of(0, 0)), other).numbers_BK[0, -1] == pytest.approx(5, abs=1e-4)


@pytest.mark.parametrize("head", ["regression", "classification", "both"])
@pytest.mark.parametrize("global_branch", [False, True])
def test_signals_leave_the_guess_as_it_is(head: str, global_branch: bool) -> None:
    torch.manual_seed(0)
    network = UnetColorizer(width=0.125, head=head, global_branch=global_branch, blend=0.5).eval()  # type: ignore[arg-type]
    L_B1HW = torch.rand(2, 1, 40, 64) * 100
    ab, signals = network.predict_with_signals(L_B1HW)
    assert torch.equal(ab, network.predict_ab(L_B1HW))
    assert (signals.features_BF is not None) == global_branch
    if head == "regression":
        assert signals.spread_BK is None
    else:
        assert signals.spread_BK is not None
        assert signals.spread_BK.shape == (2, len(SPREAD) + (head == "both"))
    alone = network.predict_with_signals(L_B1HW[1:])[1]  # no image of a batch changes another's
    for name in ("features_BF", "spread_BK"):
        if (values := getattr(signals, name)) is not None:
            torch.testing.assert_close(values[1:], getattr(alone, name), rtol=1e-3, atol=1e-3)


def test_a_method_without_signals_still_guesses() -> None:
    network = RegressionCnn(width=0.125).eval()
    L_B1HW = torch.rand(1, 1, 32, 32) * 100
    ab, signals = network.predict_with_signals(L_B1HW)
    assert torch.equal(ab, network.predict_ab(L_B1HW))
    assert signals.features_BF is None
    assert signals.spread_BK is None
