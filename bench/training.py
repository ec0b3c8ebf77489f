"""Time of a training step in the golden model, on the built-in digits and at the size of the
papers' MNIST networks, by one thread and by two.

Prints the median over the steps of one run, with the fastest and the slowest, and the most memory
that the process ever had. With `--torch PYTHON`, an interpreter that has PyTorch, the same steps
are timed there in between, on the same machine, and how many times as long ours take stands behind.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from versions import ran_on

from golden.datasets import digits
from golden.training.recipe import Recipe
from golden.training.systems.gupta.recipe import Formats, GuptaRecipe
from golden.training.systems.gupta.trainer import GuptaTrainer
from golden.training.systems.wage.recipe import WageRecipe
from golden.training.systems.wage.trainer import WageTrainer
from golden.training.trainers.trainer import Trainer

STEPS = 40
IMAGES = 60_000
#: What is timed; small ones on the digits, the others on images of 28 x 28.
CASES: dict[str, tuple[str, Recipe]] = {
    "wage": ("WAGE 2-8-8-8", WageRecipe()),
    "gupta": ("Gupta <2,14>, stochastic", GuptaRecipe()),
    "wage-cnn": ("WAGE 2-8-8-8", WageRecipe(network="32C5-MP2-64C5-MP2-512FC", batch=128)),
    "gupta-dnn": (
        "Gupta <2,14>, stochastic",
        GuptaRecipe(network="1000FC-1000FC", batch=100, learning_rate=1),
    ),
    "gupta-cnn": (
        "Gupta <2,14> with outputs <6,10>, stochastic, momentum",
        GuptaRecipe(
            network="8C5-MP2-16C5-MP2-128FC",
            batch=100,
            formats=Formats(fl=14, activation_fl=10),
            learning_rate="0.1",
            momentum="0.9",
            decay="0.0005",
        ),
    ),
}


#: What of `training_peers.py` to hold them against.
PEERS: dict[str, tuple[str, ...]] = {
    "wage-cnn": ("wage-cnn-simulated",),
    "gupta-dnn": ("gupta-dnn-simulated", "gupta-dnn-float32"),
    "gupta-cnn": ("gupta-cnn-float32",),
}


def measure(case: str) -> None:
    """Time a case in this process, whose BLAS was told how many threads to use."""
    _, recipe = CASES[case]
    data = digits()
    shape, pixel_max = data.shape, data.pixel_max
    images, labels = data.train_images, data.train_labels
    if case not in ("wage", "gupta"):
        rng = np.random.default_rng(0)
        shape, pixel_max = (28, 28, 1), 255
        images = rng.integers(0, 256, (1000, 28, 28), np.uint8)
        labels = rng.integers(0, 10, 1000).astype(np.uint8)
    kind: type[Trainer[Any]] = WageTrainer if isinstance(recipe, WageRecipe) else GuptaTrainer
    trainer = kind(recipe, shape=shape, classes=10, pixel_max=pixel_max)
    times = []
    for step in range(STEPS + 1):
        chosen = np.arange(step * recipe.batch, (step + 1) * recipe.batch) % len(images)
        start = time.perf_counter()
        trainer.step(images[chosen], labels[chosen])
        times.append(1000 * (time.perf_counter() - start))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times[1:], "memory": memory}))


def timed(command: list[str], threads: str) -> tuple[float, str]:
    """The median of what a process measured, in ms, and all of it as text."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": threads}  # BLAS reads it as it is loaded
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    times, memory = found["times"], found["memory"]
    median = statistics.median(times)
    return median, (
        f"{median:7.2f} ms a step ({min(times):.2f} to {max(times):.2f}), {memory:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step.")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--case", choices=CASES, action="append", help="what to time; all of them")
    parser.add_argument("--here", choices=CASES, help="time it in this process, and print JSON")
    options = parser.parse_args()
    if options.here:
        measure(options.here)
        return
    versions = ran_on()
    if options.torch:
        command = [options.torch, "-c", "import torch; print(torch.__version__)"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        versions += f", PyTorch {done.stdout.strip()}"
    print(f"{versions}; {STEPS} steps, seed 0", flush=True)
    peers = Path(__file__).with_name("training_peers.py")
    for case in options.case or CASES:
        title, recipe = CASES[case]
        print(f"{title}, {recipe.network}, batch {recipe.batch}", flush=True)
        for threads in ("1", "2"):
            ours, text = timed([sys.executable, __file__, "--here", case], threads)
            epoch = ours * (IMAGES // recipe.batch) / 1000
            name = f"  {threads} thread{'s' * (threads != '1')}"
            print(f"{name}: {text}, {epoch:.1f} s an epoch of {IMAGES} images", flush=True)
            for peer in PEERS.get(case, ()) if options.torch else ():
                command = [options.torch, str(peers), peer, threads, str(STEPS)]
                theirs, text = timed(command, threads)
                print(f"    {peer}, PyTorch: {text}; ours / theirs {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
