"""The part of a recipe that every training shares."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from golden import check
from golden.lfsr import MOST_LANES, Generator
from golden.training import network

#: A number that a recipe takes exactly: 0.1 is one tenth.
Rate = int | float | str | Fraction


def exact(name: str, value: Rate, low: Rate, high: Rate) -> Fraction:
    """The rational that `value` prints as, if it is from `low` to `high`."""
    try:
        rational = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {value!r}: a number from {low} to {high} is wanted") from None
    if not Fraction(low) <= rational <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return rational


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What any training needs to know.

    Parameters
    ----------
    network
        The layers before the last one, as in 32C5-MP2-64C5-MP2-512FC (see
        `golden.training.network`); an empty text makes a single layer.
    batch
        Images a step; a last, smaller batch of an epoch is dropped.
    epochs
        Passes over the training images.
    seed
        Seed of NumPy's PCG64, which draws the first weights and then one permutation an epoch.
    generator
        Random bits of the rounders.
    rows, columns
        Size of the array. Its column c rounds with lane c; the elementwise rounders are as many as
        the columns and have the lanes after those.
    """

    #: Name of the system; a recipe that can be trained has one.
    SYSTEM: ClassVar[str] = ""

    network: str
    batch: int
    epochs: int
    seed: int = 0
    generator: Generator = field(default_factory=Generator)
    rows: int = 28
    columns: int = 28

    def __post_init__(self) -> None:
        network.parse(self.network)
        check.whole("batch", self.batch, 1, 65536)
        check.whole("epochs", self.epochs, 1, 1_000_000)
        check.whole("seed", self.seed, 0, 2**63 - 1)
        check.instance("generator", self.generator, Generator)
        check.whole("rows", self.rows, 1, 1024)
        check.whole("columns", self.columns, 1, MOST_LANES // 2)
        self.generator.require_lanes(2 * self.columns)

    def baseline(self) -> "Recipe":
        """The float32 training of the same network on the same batches, to compare with."""
        raise NotImplementedError(f"{type(self).__name__} has no float32 baseline")
