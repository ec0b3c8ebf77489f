"""The part of a recipe that every training shares."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden.lfsr import MOST_LANES, Generator
from golden.settings import Bound, check_settings, setting
from golden.training.layers import network


class SampleOrder(StrEnum):
    """The order in which an epoch takes the training images."""

    #: A permutation of the recipe's PCG64.
    PERMUTATION = "permutation"
    #: The states of an LFSR, with another key each epoch: what hardware can make.
    LFSR = "lfsr"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What any training needs to know.

    Parameters
    ----------
    network
        The layers before the last one, as in 32C5-MP2-64C5-MP2-512FC.
        `golden.training.layers.network` reads them; an empty text makes a single layer.
    batch
        Images per step, 1 to 65536. A last, smaller batch of an epoch is dropped.
    epochs
        Passes over the training images, 1 to 1000000.
    seed
        Seed of NumPy's PCG64, which draws the first weights and then one permutation per epoch, 0
        to 2^63 - 1.
    order
        The order in which an epoch takes the images: permutation or lfsr. Hardware can make the
        order lfsr; `golden.training.runs.samples` describes it.
    group
        Samples that go through forward pass and errors together, a multiple of `rows`, 1 to batch.
        None takes the batch. The groups of a batch follow each other; the last one has what is
        left.
    generator
        Random bits of the rounders.
    rows
        Rows of the array, 1 to 1024.
    columns
        Columns of the array, 1 to 127. Column c rounds with lane c. There are as many elementwise
        rounders as columns; they have the lanes after those.
    """

    #: Whether `group` may be less than the batch.
    GROUPS: ClassVar[bool] = False

    #: Name of the system; a recipe that can be trained has one.
    SYSTEM: ClassVar[str] = ""

    network: str = setting(
        text="The layers before the last one, as in 32C5-MP2-64C5-MP2-512FC",
        more="`golden.training.layers.network` reads them; an empty text makes a single layer.",
    )
    batch: int = setting(
        text="Images per step",
        low=1,
        high=65536,
        more="A last, smaller batch of an epoch is dropped.",
    )
    epochs: int = setting(text="Passes over the training images", low=1, high=1_000_000)
    seed: int = setting(
        0,
        "Seed of NumPy's PCG64, which draws the first weights and then one permutation per epoch",
        low=0,
        high=2**63 - 1,
    )
    order: SampleOrder = setting(
        SampleOrder.PERMUTATION,
        "The order in which an epoch takes the images",
        more="Hardware can make the order lfsr; `golden.training.runs.samples` describes it.",
    )
    group: int | None = setting(
        None,
        "Samples that go through forward pass and errors together, a multiple of `rows`",
        low=1,
        high=Bound("batch", lambda recipe: recipe.batch),
        none="None takes the batch.",
        more="The groups of a batch follow each other; the last one has what is left.",
    )
    generator: Generator = setting(Generator(), "Random bits of the rounders")
    rows: int = setting(28, "Rows of the array", low=1, high=1024)
    columns: int = setting(
        28,
        "Columns of the array",
        low=1,
        high=MOST_LANES // 2,
        more="Column c rounds with lane c. There are as many elementwise rounders as columns; they "
        "have the lanes after those.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        network.parse(self.network)
        self.generator.require_lanes(2 * self.columns)
        if self.group is not None:
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
