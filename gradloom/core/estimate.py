"""What a network on the core takes: clocks of a step, use of the array, and memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from boards.device import DSP, FF, LUT
from boards.target import Target, find
from golden.core.config import CoreConfig
from golden.core.field import WORD
from golden.core.isa import Engine, Store
from golden.core.lower import Compiled
from golden.core.program import Task, of_kind
from golden.core.schedule import Span, predict
from golden.training.step.ops import Product
from gradloom.core.resources import Resources, resources
from gradloom.fpga import least
from hdl.cells import CELLS


@dataclass(frozen=True, kw_only=True)
class Line:
    """A product in a step.

    Parameters
    ----------
    name
        What it is.
    clocks
        Clocks in which it occupies the array.
    waits
        Clocks before its chunks in which the array waits.
    useful
        Multiplications that count.
    """

    name: str
    clocks: int
    waits: int
    useful: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A store.

    Parameters
    ----------
    name
        The store.
    banks, words, width
        Number of its memories, words of each, bits of a word.
    blocks
        Block RAMs of the target; None without a target.
    """

    name: str
    banks: int
    words: int
    width: int
    blocks: int | None


#: Of an estimate, what is not in its JSON.
_INNER = ("nodes", "multipliers")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate before any synthesis.

    Parameters
    ----------
    network
        The recipe's network, with the sizes of its layers.
    clocks
        Clocks of a step in the steady state.
    utilisation
        Useful part of the clocks of all multipliers.
    samples
        Samples a second at `clock`.
    clock
        The clock, in MHz.
    nodes
        Nodes of the array.
    lines
        The products.
    memories
        The stores.
    available
        Block RAMs of the target; None without a target.
    resources
        LUTs and flip-flops; None without a target of the family that they are known of.
    multipliers
        Multiplier blocks of that family; None where `resources` is.
    target
        The target's name; empty without one.
    """

    network: str
    clocks: int
    utilisation: float
    samples: float
    clock: float
    nodes: int
    lines: tuple[Line, ...]
    memories: tuple[Memory, ...]
    available: int | None
    resources: Resources | None
    multipliers: float | None
    target: str

    @property
    def blocks(self) -> int | None:
        """Block RAMs of all stores; None without a target."""
        if self.available is None:
            return None
        return sum(memory.blocks or 0 for memory in self.memories)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **{name: value for name, value in vars(self).items() if name not in _INNER},
            "lines": [vars(line) for line in self.lines],
            "memories": [vars(memory) for memory in self.memories],
            "resources": vars(self.resources) if self.resources else None,
            "blocks": self.blocks,
        }

    def report(self) -> str:
        """Return it as text."""
        lines = [
            f"{self.network}: {self.clocks:,} clocks a step, "
            f"{100 * self.utilisation:.1f} % useful; "
            f"{self.samples:,.0f} samples a second at {self.clock:g} MHz",
            "",
            f"{'product':<28}{'clocks':>12}{'waits':>9}{'useful':>9}",
        ]
        for line in self.lines:
            useful = 100 * line.useful / (line.clocks * self.nodes) if line.clocks else 0
            lines.append(f"{line.name:<28}{line.clocks:>12,}{line.waits:>9,}{useful:>8.1f}%")
        lines += ["", f"{'store':<22}{'banks':>6}{'words':>9}{'bits':>6}" + self._head]
        for memory in self.memories:
            blocks = "" if memory.blocks is None else f"{memory.blocks:>8}"
            lines.append(
                f"{memory.name:<22}{memory.banks:>6}{memory.words:>9,}{memory.width:>6}{blocks}"
            )
        if self.blocks is not None and self.available is not None:
            lines.append("")
            cells = CELLS[find(self.target).device.cells]
            about = "" if cells.counts_memories else "about "
            what = f"block RAMs of {self.target}"
            lines.append(about + _fit(self.blocks, self.available, what))
        if self.resources is not None and self.multipliers is not None:
            taken, there = self.resources, find(self.target).device.available
            lines += [
                _fit(self.multipliers, there[DSP], "multipliers"),
                f"about {_fit(taken.lut, there[LUT], 'LUTs')}, {_error(taken.lut_error)}",
                f"about {_fit(taken.ff, there[FF], 'flip-flops')}, {_error(taken.ff_error)}",
            ]
        return "\n".join(lines)

    @property
    def _head(self) -> str:
        return "" if self.available is None else f"{'blocks':>8}"


def _fit(taken: float, there: float, what: str) -> str:
    """Return how many are taken of how many, and by how much they do not fit."""
    more = f" ({taken - there:,} too many)" if taken > there else ""
    return f"{taken:,} of the {there:,} {what}{more}"


def _error(error: float | None) -> str:
    """Return what is known of an estimate's error."""
    fitted = "fitted to synthesised cores of 2 x 2 to 8 x 8"
    return f"{fitted}: no bound known" if error is None else f"{fitted}, to {error:.0%}"


def _useful(task: Task, lanes: int) -> int:
    """Return rows times terms times columns of a product, which may have a part of the columns."""
    op = of_kind(task.operations, Product)
    (rows, terms), (_, columns) = op.reads[0].matrix.shape, op.writes[0].matrix.shape
    taken = {block for chunk in task.chunks for block in chunk.blocks}
    return rows * terms * sum(min(lanes, columns - block * lanes) for block in taken)


def utilisation(compiled: Compiled, clocks: int) -> float:
    """Return the useful part of the clocks of all multipliers, given the clocks of a step."""
    config = compiled.config
    tasks = [task for task in compiled.train[Engine.ARRAY] if not task.again]
    useful = sum(_useful(task, config.columns) for task in tasks)
    return useful / (clocks * config.rows * config.columns)


class Kind(Enum):
    """What the ports of a memory do."""

    BANK = "one reads, one reads or writes"
    WRITTEN_BANK = "one reads, one writes"
    ROWS = "one writes, one reads"
    EARLY_ROWS = "one writes, one reads in one clock"


def memories(config: CoreConfig) -> list[tuple[str, int, int, int, Kind]]:
    """Return name, number, words, width and ports of a core's memories."""
    banked = (
        (Store.X, "(activations)", Kind.WRITTEN_BANK),
        (Store.E, "(errors)", Kind.WRITTEN_BANK),
        (Store.W, "(weights)", Kind.BANK),
    )
    labels = max(1, (config.classes - 1).bit_length())
    return [
        *(
            (f"{store.name} {text}", config.banks, config.words(store), config.width(store), kind)
            for store, text, kind in banked
        ),
        ("S (sums)", 1, config.s_rows, config.columns * config.sum_bits, Kind.ROWS),
        ("K (masks)", 1, config.k_rows, 2 * config.columns, Kind.ROWS),
        ("labels", 1, config.inputs * config.labels, labels, Kind.EARLY_ROWS),
        *(
            (f"list {engine.name.lower()}", 1, words, WORD, Kind.EARLY_ROWS)
            for engine, words in zip(Engine, config.programs, strict=True)
        ),
    ]


def block_rams(words: int, width: int, kind: Kind, target: Target) -> int:
    """Return the block RAMs of a memory on a target.

    They are exact where the device's cells say how a memory is cut. Elsewhere tools choose; a block
    RAM with one port that reads and one that writes is then needed twice for a bank that both of
    its ports read.
    """
    cells = CELLS[target.device.cells]
    if kind in (Kind.BANK, Kind.WRITTEN_BANK):
        exact = cells.bank_blocks(words, width)
    else:
        exact = cells.rows_blocks(words, width, 1 if kind is Kind.EARLY_ROWS else 2)
    if exact is not None:
        return exact
    copies = 2 if kind is Kind.BANK and target.device.family.name == "ice40" else 1
    return copies * target.device.family.block_rams(width, words)


def all_block_rams(config: CoreConfig, target: Target) -> int:
    """Return the block RAMs of all memories of a core on a target."""
    return sum(
        number * block_rams(words, width, kind, target)
        for _, number, words, width, kind in memories(config)
    )


def fits(config: CoreConfig, target: Target) -> bool:
    """Return whether a target has as many block RAMs as a core's memories take."""
    return all_block_rams(config, target) <= target.device.block_rams


def estimate(compiled: Compiled, clock: float, target: Target | None = None) -> Estimate:
    """Estimate a network on the core.

    Parameters
    ----------
    compiled
        The network.
    clock
        The clock, in MHz.
    target
        What it is to fit; None counts no block RAMs.
    """
    config = compiled.config
    nodes = config.rows * config.columns
    clocks, spans = predict(config, compiled.train)
    lines = _lines(compiled, spans)
    ecp5 = target is not None and target.device.family.name == "ecp5"
    return Estimate(
        network=f"{compiled.recipe.network or 'one layer'} on {config.rows} x {config.columns}",
        clocks=clocks,
        utilisation=utilisation(compiled, clocks),
        samples=compiled.recipe.batch * clock * 1e6 / clocks,
        clock=clock,
        nodes=nodes,
        lines=lines,
        memories=tuple(
            Memory(
                name=name,
                banks=banks,
                words=words,
                width=width,
                blocks=banks * block_rams(words, width, kind, target) if target else None,
            )
            for name, banks, words, width, kind in memories(config)
        ),
        available=target.device.block_rams if target else None,
        resources=resources(config) if ecp5 else None,
        multipliers=least(config, target)[DSP] if target and ecp5 else None,
        target=target.name if target else "",
    )


def _lines(compiled: Compiled, spans: Sequence[Span]) -> tuple[Line, ...]:
    """Return the products of the last but one step that was predicted."""
    step = max(span.step for span in spans) - 1
    lines = []
    for number, task in enumerate(compiled.train[Engine.ARRAY]):
        own = [
            span
            for span in spans
            if (span.engine, span.step, span.number) == (Engine.ARRAY, step, number)
        ]
        lines.append(
            Line(
                name=task.name,
                clocks=sum(span.end - span.start for span in own),
                waits=sum(span.start - span.free for span in own),
                useful=0 if task.again else _useful(task, compiled.config.columns),
            )
        )
    return tuple(lines)
