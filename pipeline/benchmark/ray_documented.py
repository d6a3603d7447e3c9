"""The chain that Ray's documentation teaches for images, which the benchmark compares the job's own with.

After docs.ray.io, "Working with images" and "Offline batch inference".
"""

from __future__ import annotations

from typing import Any

import ray
import ray.data

_BATCH = 8
# Workers that hold all logical CPUs would leave none to the tasks that read: the chain would never begin.
_CPUS_FOR_READING = 1


def documented_chain(
    source: str, output: str, workers: int, colorizer: type, arguments: tuple[Any, ...]
) -> None:
    """read_images, map_batches on `workers` actors, write_images, on a Ray of its own, which `end` ends.

    colorizer: a class made of `arguments` in each actor, called with batches whose column `image` is a list
    of uint8[H,W,3].
    """
    ray.init(address="local", num_cpus=workers + _CPUS_FOR_READING, include_dashboard=False)
    images = ray.data.read_images(source, mode="RGB")
    colored = images.map_batches(
        colorizer,
        fn_constructor_args=arguments,
        batch_size=_BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    colored.write_images(output, column="image", file_format="jpeg")


def end() -> None:
    """End that Ray: a benchmark has looked at its clock before."""
    ray.shutdown()
