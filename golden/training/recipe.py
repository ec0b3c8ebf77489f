"""The part of a recipe that every training shares."""

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from golden import check
from golden.lfsr import MOST_LANES, Generator
from golden.training.layers import network

#: A number that a recipe takes exactly: 0.1 is one tenth.
Rate = int | float | str | Fraction


class SampleOrder(StrEnum):
    """The order in which an epoch takes the training images."""

    #: A permutation of the recipe's PCG64.
    PERMUTATION = "permutation"
    #: The states of an LFSR, with another key each epoch: what hardware can make.
    LFSR = "lfsr"


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
        `golden.training.layers.network`); an empty text makes a single layer.
    batch
        Images a step; a last, smaller batch of an epoch is dropped.
    epochs
        Passes over the training images.
    seed
        Seed of NumPy's PCG64, which draws the first weights and then one permutation per epoch.
    order
        The order in which an epoch takes the images: `permutation`, or `lfsr`, which hardware can
        make (see `golden.training.runs.samples`).
    group
        Samples that go through forward pass and errors together, a multiple of `rows`; None takes
        the batch. The groups of a batch follow each other, the last one has what is left.
    generator
        Random bits of the rounders.
    rows, columns
        Size of the array. Its column c rounds with lane c; the elementwise rounders are as many as
        the columns and have the lanes after those.
    """

    #: Whether `group` may be less than the batch.
    GROUPS: ClassVar[bool] = False

    #: Name of the system; a recipe that can be trained has one.
    SYSTEM: ClassVar[str] = ""

    network: str
    batch: int
    epochs: int
    seed: int = 0
    order: SampleOrder = SampleOrder.PERMUTATION
    group: int | None = None
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
        check.one_of("order", self.order, SampleOrder)
        if self.group is not None:
            check.whole("group", self.group, 1, self.batch)
            if self.group < self.batch and not self.GROUPS:
                raise ValueError(
                    f"group = {self.group}: {self.SYSTEM} takes its whole batch = {self.batch} "
                    "at once"
                )
            if self.group < self.batch and self.group % self.rows:
                raise ValueError(
                    f"group = {self.group}: a multiple of rows = {self.rows} is wanted, or the "
                    f"whole batch = {self.batch}"
                )

    @property
    def groups(self) -> tuple[slice, ...]:
        """The samples of each group of a batch."""
        size = self.group or self.batch
        return tuple(
            slice(first, min(first + size, self.batch)) for first in range(0, self.batch, size)
        )

    def baseline(self) -> "Recipe":
        """The float32 training of the same network on the same batches, to compare with."""
        raise NotImplementedError(f"{type(self).__name__} has no float32 baseline")
