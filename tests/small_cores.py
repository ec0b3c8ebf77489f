"""Networks on the core that a simulator carries in seconds."""

from dataclasses import replace

import numpy as np

from golden.core.program import Program
from golden.datasets import Dataset
from golden.training import load


def random_images(shape, classes, count=64, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape), np.uint8)
    labels = rng.integers(0, classes, count).astype(np.uint8)
    return Dataset(
        name="random images",
        train_images=images,
        train_labels=labels,
        test_images=images[:8],
        test_labels=labels[:8],
        pixel_max=255,
        classes=classes,
    )


def small(**changes):
    recipe = load("digits-wage", ["network=9FC", "batch=6"])
    return replace(recipe, **({"rows": 3, "columns": 4} | changes))


def changed(program, engine, number, **changes):
    """A program with one instruction changed; its chunks and meaning stay."""
    tasks = list(program.tasks)
    of_engine = list(tasks[engine])
    task = of_engine[number]
    of_engine[number] = replace(task, instruction=replace(task.instruction, **changes))
    tasks[engine] = tuple(of_engine)
    return Program(name=program.name, tasks=tuple(tasks))
