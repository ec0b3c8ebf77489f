"""The part of a recipe that every training shares."""

from dataclasses import dataclass, field

from golden import check
from golden.lfsr import MOST_LANES, Generator


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What any training needs to know.

    Parameters
    ----------
    hidden
        Sizes of the hidden layers, input side first; none make a single layer.
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

    hidden: tuple[int, ...]
    batch: int
    epochs: int
    seed: int = 0
    generator: Generator = field(default_factory=Generator)
    rows: int = 28
    columns: int = 28

    def __post_init__(self) -> None:
        check.instance("hidden", self.hidden, tuple)
        for layer, size in enumerate(self.hidden, 1):
            check.whole(f"hidden size of layer {layer}", size, 1, 65536)
        check.whole("batch", self.batch, 1, 65536)
        check.whole("epochs", self.epochs, 1, 1_000_000)
        check.whole("seed", self.seed, 0, 2**63 - 1)
        check.instance("generator", self.generator, Generator)
        check.whole("rows", self.rows, 1, 1024)
        check.whole("columns", self.columns, 1, MOST_LANES // 2)
        self.generator.require_lanes(2 * self.columns)
