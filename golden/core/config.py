"""Configuration of a training core: array, stores, engines and lists of instructions."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from golden.array import ArrayConfig
from golden.bank import BankConfig
from golden.core.banks import BanksConfig, RowStoreConfig
from golden.core.field import words_of
from golden.core.isa import INSTRUCTIONS, ROW_BITS, Engine, Store
from golden.core.move_nest import MoveNestConfig
from golden.core.nest import CLIPPED_START, ProductNestConfig
from golden.core.operands import OperandStreamConfig
from golden.core.pass_nest import PassNestConfig
from golden.fixed import Fixed, Rounding
from golden.lfsr import Generator
from golden.macc import MaccConfig
from golden.quantize import (
    ActivationQuantizerConfig,
    ErrorQuantizerConfig,
    ShiftExponentConfig,
    WeightUpdateConfig,
)
from golden.settings import check_settings, setting
from golden.training.systems.wage.recipe import Bits

#: Clocks from a chunk that has ended to the earliest start of a chunk that waits for it.
HANDOVER = 3
#: Clocks from the read of a pass's vector to the write of its result: odd, so that an update's
#: reads and writes take turns at the store.
PASS_LATENCY = 17
#: Clocks from the first clock after a row's last beat to the write of its words.
MOVE_LATENCY = 4


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """What a core is made of. `golden.core.compiled` makes one that holds a given network.

    Parameters
    ----------
    rows
        Rows of the array, 1 to 255.
    columns
        Columns of the array, and elementwise lanes, 1 to 127.
    bits
        Widths of the words.
    half
        Whether weights saturate at a half.
    ceil
        Whether the scales of errors and gradients are rounded up.
    error_rounding
        Rounding of the errors: nearest-even or stochastic.
    generator
        The generator of the elementwise lanes.
    terms
        The largest number of terms of a sum, 1 to 2^24.
    sum_bits
        Width of a sum, 3 to 53 bits.
    x_words
        Words of each bank of the store of activations, 2 to 2^19.
    e_words
        Words of each bank of the store of errors, 2 to 2^19.
    w_words
        Words of each bank of the store of weights, 2 to 2^19.
    s_rows
        Rows of the store of sums, 2 to 2^20.
    k_rows
        Rows of the store of masks, 2 to 2^20.
    inputs
        Buffers for the samples of a step and their labels, 1 to 2.
    labels
        Labels of a buffer, 1 to 65536.
    classes
        Number of classes, 1 to 65536.
    scalars
        Registers that keep maxima and exponents, 1 to 64.
    clips
        Whether products may have clipped loops.
    programs
        Words of the lists of the array engine, the vector engine, and the movers in and
        out.
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "product_latency": "Clocks from the index of a tile's last term to the write of its first "
        "row of sums.",
    }

    rows: int = setting(8, "Rows of the array", low=1, high=255)
    columns: int = setting(8, "Columns of the array, and elementwise lanes", low=1, high=127)
    bits: Bits = setting(Bits(), "Widths of the words")
    half: bool = setting(False, "Whether weights saturate at a half")
    ceil: bool = setting(False, "Whether the scales of errors and gradients are rounded up")
    error_rounding: Rounding = setting(
        Rounding.NEAREST_EVEN,
        "Rounding of the errors",
        allowed=(Rounding.NEAREST_EVEN, Rounding.STOCHASTIC),
    )
    generator: Generator = setting(Generator(), "The generator of the elementwise lanes")
    terms: int = setting(128, "The largest number of terms of a sum", low=1, high=1 << 24)
    sum_bits: int = setting(21, "Width of a sum", low=3, high=53, unit="bits")
    x_words: int = setting(
        1024, "Words of each bank of the store of activations", low=2, high=1 << 19
    )
    e_words: int = setting(1024, "Words of each bank of the store of errors", low=2, high=1 << 19)
    w_words: int = setting(1024, "Words of each bank of the store of weights", low=2, high=1 << 19)
    s_rows: int = setting(1024, "Rows of the store of sums", low=2, high=1 << 20)
    k_rows: int = setting(1024, "Rows of the store of masks", low=2, high=1 << 20)
    inputs: int = setting(1, "Buffers for the samples of a step and their labels", low=1, high=2)
    labels: int = setting(64, "Labels of a buffer", low=1, high=1 << 16)
    classes: int = setting(10, "Number of classes", low=1, high=1 << 16)
    scalars: int = setting(4, "Registers that keep maxima and exponents", low=1, high=64)
    clips: bool = setting(False, "Whether products may have clipped loops")
    programs: tuple[int, ...] = setting(
        (256, 256, 32, 32),
        "Words of the lists of the array engine, the vector engine, and the movers in and out",
        form="A,V,I,O",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        bits = self.banks * self.word_bits
        if (self.classes - 1).bit_length() > bits:
            raise ValueError(
                f"classes = {self.classes}: allowed are 1 to {1 << bits}, as a beat of "
                f"{self.banks} words has {bits} bits for a class"
            )

    @property
    def banks(self) -> int:
        """Banks of the stores of activations, errors and weights."""
        return max(self.rows, self.columns)

    @property
    def word_bits(self) -> int:
        """Width of the widest word of a store."""
        return max(self.width(store) for store in Store)

    def words(self, store: Store) -> int:
        """Return the words of each bank of a store."""
        return {Store.X: self.x_words, Store.E: self.e_words, Store.W: self.w_words}[store]

    def width(self, store: Store) -> int:
        """Return the width of a store's words."""
        bits = self.bits
        return {Store.X: bits.activation, Store.E: bits.error, Store.W: bits.gradient}[store]

    def store(self, store: Store) -> BanksConfig:
        """Return a store of words."""
        return BanksConfig(banks=self.banks, words=self.words(store), width=self.width(store))

    @property
    def sums(self) -> RowStoreConfig:
        """The store of sums."""
        return RowStoreConfig(rows=self.s_rows, lanes=self.columns, width=self.sum_bits)

    @property
    def masks(self) -> RowStoreConfig:
        """The store of masks, two bits for each activation."""
        return RowStoreConfig(rows=self.k_rows, lanes=2 * self.columns, width=1)

    @cached_property
    def array(self) -> ArrayConfig:
        """The array: one size of operands for all products, sums that drain raw."""
        bits = self.bits
        return ArrayConfig(
            rows=self.rows,
            columns=self.columns,
            macc=MaccConfig(
                a=Fixed(1, max(bits.activation, bits.error) - 1),
                b=Fixed(1, max(bits.weight, bits.error) - 1),
                depth=self.terms,
            ),
            conversions=(),
        )

    @property
    def address_bits(self) -> int:
        """Width of an address in a bank of any store."""
        return max((self.words(store) - 1).bit_length() for store in Store)

    @cached_property
    def product_nest(self) -> ProductNestConfig:
        """The loops of a product."""
        return ProductNestConfig(
            rows=self.rows,
            banks=self.banks,
            address_bits=self.address_bits,
            row_bits=ROW_BITS,
            clips=self.clips,
        )

    @cached_property
    def operand_a(self) -> OperandStreamConfig:
        """Operand A of the products."""
        return self._operand(self.rows)

    @cached_property
    def operand_b(self) -> OperandStreamConfig:
        """Operand B of the products."""
        return self._operand(self.columns)

    def _operand(self, lanes: int) -> OperandStreamConfig:
        """Return an operand of the products; words of any store fit."""
        return OperandStreamConfig(
            banks=self.banks,
            lanes=lanes,
            address_bits=self.address_bits,
            width=self.word_bits,
            stores=len(Store),
        )

    @cached_property
    def pass_nest(self) -> PassNestConfig:
        """The loops of a pass."""
        return PassNestConfig(
            banks=self.banks,
            address_bits=self.address_bits,
            s_bits=(self.s_rows - 1).bit_length(),
            k_bits=(self.k_rows - 1).bit_length(),
        )

    @cached_property
    def move_nest(self) -> MoveNestConfig:
        """The loops of a move."""
        return MoveNestConfig(banks=self.banks, address_bits=self.address_bits)

    @cached_property
    def activation(self) -> ActivationQuantizerConfig:
        """ReLU and Q_A of the vector engine."""
        return ActivationQuantizerConfig(
            width=self.sum_bits, bits=self.bits.activation, most_shift=24, lanes=self.columns
        )

    @cached_property
    def exponent(self) -> ShiftExponentConfig:
        """The maximum of a tensor. An output's error has a bit more than a sum."""
        return ShiftExponentConfig(width=self.sum_bits + 1, ceil=self.ceil, lanes=self.columns)

    @cached_property
    def error(self) -> ErrorQuantizerConfig:
        """Q_E of the vector engine."""
        return ErrorQuantizerConfig(
            width=self.sum_bits + 1,
            bits=self.bits.error,
            rounding=self.error_rounding,
            lanes=self.columns,
            first_lane=self.columns,
            generator=self.generator,
        )

    @cached_property
    def update(self) -> WeightUpdateConfig:
        """Q_G and the update of weights."""
        return WeightUpdateConfig(
            width=self.sum_bits,
            bits=self.bits.gradient,
            half=self.half,
            lanes=self.columns,
            first_lane=self.columns,
            generator=self.generator,
        )

    @cached_property
    def lanes(self) -> BankConfig:
        """The generators of the elementwise lanes, which leap together."""
        return BankConfig(generator=self.generator, groups=(self.columns,), first_lane=self.columns)

    @property
    def read_latency(self) -> int:
        """Clocks from an operand's index to the operand at the array."""
        return self.operand_a.latency + 1  # Q_W

    @property
    def product_latency(self) -> int:
        """Clocks from the index of a tile's last term to the write of its first row of sums."""
        return self.read_latency + self.array.latency + 1

    def fetch(self, engine: Engine) -> int:
        """Return the least number of clocks between the starts of an engine's instructions."""
        words = words_of(INSTRUCTIONS[engine])
        return words + 4 + (self.banks if engine is Engine.ARRAY else 0)

    def pause(self, engine: Engine) -> int:
        """Return the clocks between an engine's instructions in which it issues nothing."""
        return {Engine.ARRAY: 0, Engine.VECTOR: 2}.get(engine, 1)

    @property
    def clipped_fetch(self) -> int:
        """Clocks by which the start of a product with clipped loops is later at least."""
        return max(CLIPPED_START + 1 - (self.banks + 3), 0)
