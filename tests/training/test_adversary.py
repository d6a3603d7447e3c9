"""The discriminator: values of its losses, what it adds to an error term, its warm-up, its state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ray.train import Checkpoint
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.models.base import Objective
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.weights import WeightsInfo, decode_weights
from pipeline.training.adversary import Adversary, Discriminator, DiscriminatorBatch, hinge
from pipeline.training.checkpoint import AveragedModel, RunState, weights_in
from pipeline.training.sections import AdversarialConfig
from pipeline.training.settings import TrainConfig

CPU = torch.device("cpu")
SIDE = 64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def batch(images: int = 4) -> DiscriminatorBatch:
    L_B1HW, ab_B2HW = torch.rand(images, 1, SIDE, SIDE) * 100, torch.randn(images, 2, SIDE, SIDE) * 20
    shown = (torch.randn(images, 2, SIDE // 2, SIDE // 2) * 5).requires_grad_()
    return DiscriminatorBatch(L_B1HW, shown, ab_B2HW, torch.rand(images, 8, SIDE // 16, SIDE // 16))


def test_hinge_values() -> None:
    """Verdicts beyond 1 and -1 are sure enough and cost nothing."""
    assert hinge(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])) == pytest.approx(0.25 + 0.625)
    assert hinge(torch.tensor([1.0]), torch.tensor([-1.0])) == 0


def test_every_layer_is_spectrally_normalised() -> None:
    """After many power iterations the largest singular value of each kernel, as a matrix, is 1."""
    module = Discriminator(8, 8)
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 6
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(7)  # type: ignore[union-attr]
    data = batch()
    L, guess, _ = data.at_quarter()
    for _ in range(60):
        module(L, guess, data.context)
    module.eval()
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert float(norm) == pytest.approx(1, abs=0.02)


def test_what_it_sees_is_a_quarter_of_the_size() -> None:
    data = batch()
    L, guess, truth = data.at_quarter()
    assert L.shape == (4, 1, SIDE // 4, SIDE // 4)
    assert guess.shape == truth.shape == (4, 2, SIDE // 4, SIDE // 4)
    torch.testing.assert_close(truth[0, 0, 0, 0], data.true_ab_B2HW[0, 0, :4, :4].mean())
    torch.testing.assert_close(guess[0, 0, 0, 0], data.shown[0, 0, :2, :2].mean())


def test_the_network_minds_the_verdicts_after_the_warm_up_only() -> None:
    adversary = Adversary(AdversarialConfig(weight=0.5, warmup=4, width=8), 8, CPU)
    weights = []
    for _ in range(10):
        weights.append(adversary.weight)
        adversary.learn(batch())
    assert weights == [0, 0, 0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5]


def test_the_networks_loss_is_the_weighted_verdict_and_the_distance_of_features() -> None:
    config = AdversarialConfig(weight=0.5, matching=2.0, warmup=0, width=8)
    adversary = Adversary(config, 8, CPU)
    adversary.learn(batch())
    data = batch()
    before = {name: tensor.clone() for name, tensor in adversary.module.state_dict().items()}
    losses = adversary.judge(data)
    assert all(torch.equal(before[name], t) for name, t in adversary.module.state_dict().items())
    assert all(parameter.requires_grad for parameter in adversary.module.parameters())
    assert float(losses["loss"].detach()) == pytest.approx(
        0.5 * (-float(losses["fooled"]) + 2 * float(losses["matching"])), rel=1e-5
    )
    losses["loss"].backward()
    assert data.shown.grad is not None
    assert float(data.shown.grad.abs().sum()) > 0
    same = data._replace(shown=data.true_ab_B2HW)
    assert float(adversary.judge(same)["matching"]) == 0


def test_it_learns_to_tell_photographs_from_guesses() -> None:
    adversary = Adversary(AdversarialConfig(weight=1, width=8, rate=2e-3), 8, CPU)
    losses = [float(adversary.learn(batch())["discriminator"]) for _ in range(40)]
    assert losses[0] == pytest.approx(2, abs=0.5)
    assert losses[-1] < 0.5 * losses[0]


def coin(images: int) -> tuple[Tensor, Tensor]:
    """Pictures of noise that are as likely yellow as blue, 40 Lab units from gray: L and ab."""
    L_B1HW = torch.rand(images, 1, SIDE, SIDE) * 100
    sign = torch.randint(0, 2, (images, 1, 1, 1)).float() * 2 - 1
    b_B1HW = sign * torch.full_like(L_B1HW, 40)
    return L_B1HW, torch.cat([torch.zeros_like(b_B1HW), b_B1HW], 1)


def mean_chroma_after(weight: float) -> float:
    """Of a tiny network that learns `coin` by squared error and a discriminator of that weight."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 16, 8, 4, 2), nn.ReLU(), nn.Conv2d(16, 2, 1))
    adversary = Adversary(
        AdversarialConfig(weight=weight, warmup=10, width=8, rate=2e-3, context=False), 0, CPU
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(250):
        L_B1HW, ab_B2HW = coin(8)
        shown = 40 * network(L_B1HW / 50 - 1)
        data = DiscriminatorBatch(L_B1HW, shown, ab_B2HW, L_B1HW)
        error = (shown / 40 - ab_B2HW[..., ::4, ::4] / 40).square().mean()
        loss = 0.1 * error + (adversary.judge(data)["loss"] if weight else 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if weight:
            adversary.learn(data)
    with torch.no_grad():
        chroma = 40 * network(coin(16)[0] / 50 - 1)
    return float(chroma.square().sum(1).sqrt().mean())


@pytest.mark.slow
def test_what_is_as_likely_yellow_as_blue_is_gray_by_error_and_coloured_by_discriminator() -> None:
    assert mean_chroma_after(0) < 10
    assert mean_chroma_after(1) > 25


def state_of(config: AdversarialConfig) -> RunState:
    model = UnetColorizer(0.125, head="both", **config.decoding())
    adversary = Adversary(config, model.context_channels, CPU) if config.weight else None
    return RunState(
        model, AveragedModel(model, 0.9), torch.optim.AdamW(model.parameters(), lr=1e-3), adversary
    )


def step(state: RunState, seed: int) -> None:
    """As `loop._step` does it."""
    generator = torch.Generator().manual_seed(seed)
    L = torch.rand(2, 1, SIDE, SIDE, generator=generator) * 100
    ab = torch.randn(2, 2, SIDE, SIDE, generator=generator) * 20
    state.model.train()
    losses = state.model(L, ab, torch.tensor([-1, -1]), Objective(shown=True))
    assert state.adversary is not None
    data = DiscriminatorBatch(L, losses["shown"], ab, losses["context"])
    loss = losses["loss"] + state.adversary.judge(data)["loss"]
    state.optimizer.zero_grad()
    loss.backward()
    state.optimizer.step()
    state.adversary.learn(data)
    state.step += 1


def checkpoint_of(state: RunState, folder: str) -> Checkpoint:
    info = WeightsInfo("unet", state.model.architecture(), (1, 2), state.model.ab_range, "", ())
    with state.saved(info) as checkpoint:
        return Checkpoint.from_directory(checkpoint.to_directory(folder))


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    config = AdversarialConfig(weight=0.5, matching=1, warmup=1, width=8)
    straight = state_of(config)
    for seed in range(3):
        step(straight, seed)
    checkpoint = checkpoint_of(straight, str(tmp_path / "checkpoint"))
    step(straight, 3)

    torch.manual_seed(99)  # a resumed process begins with another random network
    resumed = state_of(config)
    resumed.restore(checkpoint, ())
    assert resumed.adversary is not None
    assert resumed.adversary.steps == 3
    step(resumed, 3)
    assert straight.adversary is not None
    for one, other in (
        (straight.model, resumed.model), (straight.adversary.module, resumed.adversary.module),
    ):  # fmt: skip
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(tensor, other.state_dict()[name], msg=name)


def test_exported_weights_hold_no_discriminator_and_the_decoding_that_was_judged(tmp_path: Path) -> None:
    state = state_of(AdversarialConfig(weight=0.5, width=8, blend=0.25, gain=1.4))
    tensors, info = decode_weights(weights_in(checkpoint_of(state, str(tmp_path / "c"))), "it")
    assert tensors.keys() == {n for n, t in state.model.state_dict().items() if t.is_floating_point()}
    assert (info.architecture["blend"], info.architecture["gain"]) == (0.25, 1.4)


def test_a_checkpoint_without_a_discriminator_gets_one_that_begins_anew(tmp_path: Path) -> None:
    before = state_of(AdversarialConfig())
    after = state_of(AdversarialConfig(weight=1, blend=0, gain=1, width=8))
    after.restore(checkpoint_of(before, str(tmp_path / "c")), ())
    assert after.adversary is not None
    assert after.adversary.steps == 0


def test_a_checkpoint_of_another_discriminator_is_refused(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(state_of(AdversarialConfig(weight=1, width=8)), str(tmp_path / "c"))
    with pytest.raises(ConfigError, match=r"does not fit loss\.adversarial.*train\.name"):
        state_of(AdversarialConfig(weight=1, width=16)).restore(checkpoint, ())


def test_what_is_judged_is_what_the_network_shows() -> None:
    model = UnetColorizer(0.125, head="both", blend=0.3, gain=1.4).eval()
    L_B1HW, ab_B2HW = torch.rand(2, 1, SIDE, SIDE) * 100, torch.randn(2, 2, SIDE, SIDE) * 20
    losses = model(L_B1HW, ab_B2HW, torch.tensor([-1, -1]), Objective(shown=True))
    torch.testing.assert_close(losses["shown"], model.predict_ab(L_B1HW), rtol=1e-4, atol=1e-4)
    assert losses["shown"].requires_grad
    assert not losses["context"].requires_grad
    assert losses["context"].shape[1] == model.context_channels
    assert "shown" not in model(L_B1HW, ab_B2HW, torch.tensor([-1, -1]), Objective())


@pytest.mark.parametrize("head", ["regression", "classification", "both"])
def test_each_head_learns_from_the_verdict(head) -> None:
    model = UnetColorizer(0.125, head=head, blend=0.5)
    L_B1HW, ab_B2HW = torch.rand(2, 1, SIDE, SIDE) * 100, torch.randn(2, 2, SIDE, SIDE) * 20
    losses = model(L_B1HW, ab_B2HW, torch.tensor([-1, -1]), Objective(shown=True))
    adversary = Adversary(AdversarialConfig(weight=1, warmup=0, width=8), model.context_channels, CPU)
    data = DiscriminatorBatch(L_B1HW, losses["shown"], ab_B2HW, losses["context"])
    adversary.learn(data)
    adversary.judge(data)["loss"].backward()
    for name in {"both": ("regression", "classification")}.get(head, (head,)):
        gradients = [p.grad for p in getattr(model, name).parameters()]
        assert sum(float(g.abs().sum()) for g in gradients if g is not None) > 0
    assert all(math.isfinite(float(p.grad.abs().sum())) for p in model.parameters() if p.grad is not None)


def learn_alone(seed: int) -> dict[str, Tensor]:
    """The discriminator of everyone after one step on the batch of `seed`."""
    torch.manual_seed(0)
    adversary = Adversary(AdversarialConfig(weight=1, width=8), 8, CPU)
    torch.manual_seed(seed)
    adversary.learn(batch())
    return adversary.module.state_dict()


def learn_as_one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(learn_alone(rank), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.job
def test_workers_with_different_crops_keep_one_discriminator(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(learn_as_one_of_two, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = learn_alone(0)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], msg=name)
    assert any(not torch.allclose(tensor, alone[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": {"adversarial": {"weight": -1}}}, "greater than or equal to 0"),
        ({"loss": {"adversarial": {"width": 9}}}, "multiple of 8"),
        ({"loss": {"adversarial": {"strength": 1}}}, "strength"),
        (
            {"model": {"method": "iizuka"}, "loss": {"adversarial": {"weight": 1}}},
            r"loss\.adversarial\.weight has no effect on model\.method=iizuka",
        ),
    ],
)
def test_settings_that_cannot_be(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig.model_validate(values)
