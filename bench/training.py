"""Time of a training step in the golden model,
on the built-in digits and at the size of the paper's MNIST network.

Prints the median over the steps of one run, with the fastest and the slowest.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from golden.datasets import digits
from golden.training import GuptaRecipe, GuptaTrainer, Recipe, Trainer, WageRecipe, WageTrainer

STEPS = 30
KINDS: tuple[tuple[str, Callable[..., Trainer[Any]], Callable[..., Recipe]], ...] = (
    ("WAGE 2-8-8-8", WageTrainer, WageRecipe),
    ("Gupta <2,14>, stochastic", GuptaTrainer, GuptaRecipe),
)


def main() -> None:
    print(
        f"gradloom {version('gradloom')}, NumPy {version('numpy')}, "
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; "
        f"{STEPS} steps, seed 0"
    )
    data = digits()
    rng = np.random.default_rng(0)
    large: dict[str, Any] = {"hidden": (1000, 1000), "batch": 100}
    images = rng.integers(0, 256, (STEPS * 100, 784), dtype=np.uint8)
    labels = rng.integers(0, 10, STEPS * 100, dtype=np.uint8)
    for kind, trainer, recipe in KINDS:
        small = recipe()
        for one, pixels, answers, size in (
            (
                trainer(small, inputs=64, classes=10, pixel_max=16),
                data.train_images,
                data.train_labels,
                small,
            ),
            (
                trainer(recipe(**large), inputs=784, classes=10, pixel_max=255),
                images,
                labels,
                recipe(**large),
            ),
        ):
            times = []
            for step in range(STEPS):
                chosen = np.arange(step * size.batch, (step + 1) * size.batch) % len(pixels)
                start = time.perf_counter()
                one.step(pixels[chosen], answers[chosen])
                times.append(1000 * (time.perf_counter() - start))
            layers = "-".join(map(str, one.sizes))
            print(
                f"{kind}, {layers}, batch {size.batch}: {statistics.median(times):.2f} ms a step "
                f"({min(times):.2f} to {max(times):.2f})"
            )


if __name__ == "__main__":
    main()
