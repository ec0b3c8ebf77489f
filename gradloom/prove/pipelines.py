"""What all pipelines have in common: results come a fixed number of clocks after their operands."""

from typing import Any

from amaranth.hdl import C, Value

from golden.buffer import BUFFER_LATENCY
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import every, implies, some


class Results:
    """The results of a pipeline, and the operands that they are of.

    Parameters
    ----------
    bench
        A bench of the pipeline.
    config
        Its unit's configuration; `config.latency` counts the output FIFO as well.
    """

    def __init__(self, bench: Bench, config: Any):
        self.bench = bench
        self.clocks = config.latency - BUFFER_LATENCY
        self.valid: Value = bench["result_valid"]
        self.prove(
            "latency",
            f"a result is there {self.clocks} clocks after each operand that no reset has followed,"
            " and at no other time",
            bench["result_valid"] == bench.since(bench["operand_valid"], self.clocks),
            {"a result": bench["result_valid"], "none": ~bench["result_valid"]},
        )

    def operand(self, name: str) -> Any:
        """An input as it was with the operand: an integer, or a list of them for a vector."""
        value = self.bench[name]
        if isinstance(value, list):
            return [self.bench.past(lane, self.clocks) for lane in value]
        return self.bench.past(value, self.clocks)

    def every(
        self, name: str, says: str, holds: list[Value], covers: dict[str, list[Value]]
    ) -> None:
        """A property that holds in every lane of each result; its cases show in some lane."""
        self.prove(
            name,
            says,
            implies(self.valid, every(holds)),
            {case: self.valid & some(lanes) for case, lanes in covers.items()},
        )

    def prove(self, name: str, says: str, holds: Value, covers: dict[str, Value]) -> None:
        """A property that holds once the pipeline has been through, whatever was in it."""
        self.bench.prove(name, says, holds, AnyState(self.clocks), covers)

    def words(self, lanes: int) -> list[Value]:
        """The random words of the operand's lanes; zeros where nothing is drawn."""
        return self.operand("random") if "random" in self.bench else [C(0, 1)] * lanes
