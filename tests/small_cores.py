"""Networks on the core that a simulator carries in seconds."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from golden.core.program import Program
from golden.datasets import Dataset
from golden.training import Bits, load


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


@st.composite
def networks(draw):
    layers = draw(st.lists(st.integers(1, 9), max_size=2))
    bits = ["2-8-8-8", "2-4-8-5", "4-8-8-8", "3-6-5-4", "2-2-3-2", "8-16-16-16"]
    recipe = small(
        network="-".join(f"{n}FC" for n in layers),
        batch=draw(st.integers(1, 9)),
        rows=draw(st.integers(1, 5)),
        columns=draw(st.integers(1, 5)),
        bits=Bits.parse(draw(st.sampled_from(bits))),
        seed=draw(st.integers(0, 1000)),
        rates=((1, draw(st.integers(-8, 7))),),
        shift=draw(st.sampled_from(["round", "ceil"])),
        saturation=draw(st.sampled_from(["full", "half"])),
        error_rounding=draw(st.sampled_from(["nearest-even", "stochastic"])),
    )
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    # A class comes in one beat.
    bits = max(recipe.rows, recipe.columns) * max(
        recipe.bits.activation, recipe.bits.error, recipe.bits.gradient
    )
    return recipe, shape, draw(st.integers(2, min(9, 1 << bits)))
