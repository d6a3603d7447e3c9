"""Where a prediction spends its time: parts of the network, their multiplications, their share of the peak.

    python -m tests.support.network_profile --side 384 --precision bf16

One photograph on one thread; CPU milliseconds, the shortest of 30 predictions for each part. Multiplications
are counted on the network as it was trained. The peak is the rate of a product of two 2048 x 2048 matrices in
the same precision, with the same library.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models.method_list import build_colorizer, load_colorizer
from pipeline.models.names import location
from pipeline.models.weights import load_weights

_CALLS = 30
#: Attributes of the network by part; the heads are of one class, which the counter sees together.
_PARTS = {
    "encoder": ("encoder",),
    "global features": ("global_features",),
    "decoder": ("decoder",),
    "heads": ("regression", "classification"),
}


class Stopwatch:
    """CPU seconds of modules in each prediction."""

    def __init__(self, parts: dict[str, list[nn.Module]]) -> None:
        self.now: dict[str, float] = defaultdict(float)
        self._began: dict[str, float] = {}
        for name, modules in parts.items():
            for module in modules:
                module.register_forward_pre_hook(self._begin(name))
                module.register_forward_hook(self._end(name))

    def _begin(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self._began[name] = time.process_time()

        return hook

    def _end(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self.now[name] += time.process_time() - self._began[name]

        return hook


def multiplications(name: str, L_11HW: Tensor) -> dict[str, int]:
    """Multiplications of one prediction, by part and for "all"."""
    plain = build_colorizer(load_weights(location(None, name), None))
    with FlopCounterMode(display=False, depth=2) as counter:
        plain.predict_ab(L_11HW)
    by_class = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    parts = {part: by_class.get(type(modules_of(plain, part)[0]).__name__, 0) for part in _PARTS}
    return parts | {"all": counter.get_total_flops() // 2}


def modules_of(network: Any, part: str) -> list[nn.Module]:
    """The modules of this part that the network has."""
    return [module for name in _PARTS[part] if (module := getattr(network, name, None)) is not None]


def peak(dtype: torch.dtype) -> float:
    """Multiplications per second."""
    size = 2048
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return size**3 / min(_seconds(lambda: a @ b) for _ in range(10))


def _seconds(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def least(network: Any, L_11HW: Tensor) -> dict[str, float]:
    """The shortest time of each part, and of "all", in seconds."""
    watch = Stopwatch({part: modules_of(network, part) for part in _PARTS})
    shortest = defaultdict[str, float](lambda: float("inf"))
    for _ in range(_CALLS):
        watch.now.clear()
        watch.now["all"] = _seconds(lambda: network.predict_ab(L_11HW))
        for part, seconds in watch.now.items():
            shortest[part] = min(shortest[part], seconds)
    return shortest


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", default="faithful", help="of a U-Net that ships")
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    args = parser.parse_args()
    torch.set_num_threads(1)
    L_11HW = 100 * torch.rand(1, 1, args.side, args.side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        products = multiplications(args.weights, L_11HW)
        seconds = least(load_colorizer(None, args.weights, precision=args.precision).colorizer, L_11HW)
        most = peak({"fp32": torch.float32, "bf16": torch.bfloat16}[args.precision])
    print("| part | CPU ms | million multiplications | share of the peak |\n|---|---:|---:|---:|")
    seconds["the rest"] = seconds["all"] - sum(seconds[part] for part in _PARTS)
    products["the rest"] = products["all"] - sum(products[part] for part in _PARTS)
    for part in (*_PARTS, "the rest", "all"):
        share = products[part] / seconds[part] / most
        print(f"| {part} | {1000 * seconds[part]:.1f} | {products[part] / 1e6:,.0f} | {share:.0%} |")
    print(f"\nThe peak: {most / 1e9:,.0f} thousand million multiplications a second.")


if __name__ == "__main__":
    main()
