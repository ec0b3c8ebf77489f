"""The settings that the recipes of all systems have."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden.array import MOST_ROWS
from golden.lfsr import MOST_LANES, Generator
from golden.settings import Bound, check_settings, setting
from golden.training.layers import network


class SampleOrder(StrEnum):
    """The order in which an epoch takes the training images."""

    #: A random permutation from the recipe's PCG64.
    PERMUTATION = "permutation"
    #: The order of an LFSR's states, with another key in each epoch; hardware can generate it.
    LFSR = "lfsr"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The common settings of all trainings. Each system has a subclass.

    Parameters
    ----------
    network
        The layers before the last one, as in 32C5-MP2-64C5-MP2-512FC.
        `golden.training.layers.network` describes the text; if it is empty, there is a single
        layer.
    batch
        Images per step, 1 to 65536. An incomplete batch at the end of an epoch is dropped.
    epochs
        Passes over the training images, 1 to 1000000.
    seed
        Seed of NumPy's PCG64, which draws the first weights and then one permutation per epoch, 0
        to 2^63 - 1.
    order
        The order in which an epoch takes the images: permutation or lfsr. Hardware can generate the
        order lfsr; `golden.training.runs.samples` describes it.
    group
        Samples that go through forward pass and errors together, a multiple of `rows`, 1 to batch.
        None takes the batch. The groups of a batch follow each other; the last one may be smaller.
    generator
        The generator of the rounders' random bits.
    rows
        Rows of the array, 1 to 255.
    columns
        Columns of the array, 1 to 127. Column c rounds with lane c. There are as many elementwise
        rounders as columns; they use the next lanes.

    Examples
    --------
    >>> recipe = Recipe(network="32FC", batch=64, epochs=1)
    >>> recipe.groups
    (slice(0, 64, None),)
    """

    #: Whether `group` may be less than the batch.
    GROUPS: ClassVar[bool] = False

    #: Name of the system; empty in this base class, which cannot be trained.
    SYSTEM: ClassVar[str] = ""

    network: str = setting(
        text="The layers before the last one, as in 32C5-MP2-64C5-MP2-512FC",
        more="`golden.training.layers.network` describes the text; if it is empty, there is a "
        "single layer.",
    )
    batch: int = setting(
        text="Images per step",
        low=1,
        high=65536,
        more="An incomplete batch at the end of an epoch is dropped.",
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
        more="Hardware can generate the order lfsr; `golden.training.runs.samples` describes it.",
    )
    group: int | None = setting(
        None,
        "Samples that go through forward pass and errors together, a multiple of `rows`",
        low=1,
        high=Bound("batch", lambda recipe: recipe.batch),
        none="None takes the batch.",
        more="The groups of a batch follow each other; the last one may be smaller.",
    )
    generator: Generator = setting(Generator(), "The generator of the rounders' random bits")
    rows: int = setting(28, "Rows of the array", low=1, high=MOST_ROWS)
    columns: int = setting(
        28,
        "Columns of the array",
        low=1,
        high=MOST_LANES // 2,
        more="Column c rounds with lane c. There are as many elementwise rounders as columns; they "
        "use the next lanes.",
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
        """Return the recipe of the float32 training of the same network on the same batches.

        Raises
        ------
        NotImplementedError
            The recipe has no baseline.
        """
        raise NotImplementedError(f"{type(self).__name__} has no float32 baseline")
