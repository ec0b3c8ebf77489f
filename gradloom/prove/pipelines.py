"""Properties of all pipelines: results come a fixed number of clocks after their operands."""

from typing import Any

from amaranth.hdl import C, Value

from golden.buffer import BUFFER_LATENCY
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import every, implies, some


class Results:
    """The results of a pipeline, and the operands of each result.

    Parameters
    ----------
    bench
        A bench of the pipeline.
    config
        Configuration of the unit. `config.latency` includes the output FIFO.
    clocks
        Clocks through the pipeline, if it is a part of a unit of several pipelines.
    """

    def __init__(self, bench: Bench, config: Any, clocks: int | None = None):
        self.bench = bench
        self.clocks = clocks or config.latency - BUFFER_LATENCY
        self.valid: Value = bench["result_valid"]
        self.prove(
            "latency",
            f"a result comes {self.clocks} clocks after each operand, unless there is a reset in "
            "between, and at no other clock",
            bench["result_valid"] == bench.since(bench["operand_valid"], self.clocks),
            {"a result": bench["result_valid"], "none": ~bench["result_valid"]},
        )

    def operand(self, name: str) -> Any:
        """Return an input at the clock of the operand: a value, or a list of them for lanes."""
        value = self.bench[name]
        if isinstance(value, list):
            return [self.bench.past(lane, self.clocks) for lane in value]
        return self.bench.past(value, self.clocks)

    def every(
        self, name: str, statement: str, holds: list[Value], covers: dict[str, list[Value]]
    ) -> None:
        """Add a property of every lane of each result. Each case occurs in at least one lane."""
        self.prove(
            name,
            statement,
            implies(self.valid, every(holds)),
            {case: self.valid & some(lanes) for case, lanes in covers.items()},
        )

    def prove(self, name: str, statement: str, holds: Value, covers: dict[str, Value]) -> None:
        """Add a property that holds once the pipeline has passed all older values on."""
        self.bench.prove(name, statement, holds, AnyState(self.clocks), covers)

    def words(self, lanes: int) -> list[Value]:
        """Return the random word of each lane's operand; zeros if the pipeline draws none."""
        return self.operand("random") if "random" in self.bench else [C(0, 1)] * lanes
