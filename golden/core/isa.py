"""The instructions of the core's four engines, field by field.

Each engine reads a list of its own: the array engine multiplies, the vector engine makes passes
over the sums, and two movers carry words in and out. An instruction runs through loops. Iterations
of its outermost loop are its chunks; each engine counts the chunks whose last word is written, and
a chunk of another engine waits until that count is high enough. Nothing else keeps the engines in
step.

All strides of stores are flat indices (`golden.core.index`); the row stores, of sums and of masks,
are addressed by rows.
"""

from dataclasses import dataclass
from enum import IntEnum

from golden.core.field import bits, group
from golden.core.index import Index

#: Loops over tiles and over the terms of a sum; those over the lanes of an operand; those of a pass
#: and of a move.
TILE_LOOPS, TERM_LOOPS, LANE_LOOPS, PASS_LOOPS, MOVE_LOOPS = 6, 4, 3, 4, 3
#: Bits of a row of the row stores, and of a layer's number.
ROW_BITS, LAYER_BITS = 20, 6


class Engine(IntEnum):
    """The engines, in the order in which their counts are numbered."""

    #: Products of tiles.
    ARRAY = 0
    #: Passes over sums, vector by vector.
    VECTOR = 1
    #: Words from the input stream into the stores.
    IN = 2
    #: Words from the stores to the output stream.
    OUT = 3

    @property
    def others(self) -> "tuple[Engine, ...]":
        """The engines that it can wait for, in the order of its instructions' waits."""
        return tuple(engine for engine in Engine if engine is not self)


class Opcode(IntEnum):
    """What is done with an instruction; words of zeros are none."""

    #: Not an instruction.
    ILLEGAL = 0
    #: Carry it out.
    RUN = 1
    #: Go back to an earlier instruction. Reserved: no core carries it out yet.
    REPEAT = 2


class Store(IntEnum):
    """Stores of words in banks."""

    #: Inputs and activations.
    X = 0
    #: Errors.
    E = 1
    #: Stored weights.
    W = 2


class Target(IntEnum):
    """Where a pass writes."""

    #: Nothing is written.
    NONE = 0
    #: Activations, and their masks.
    X = 1
    #: Errors.
    E = 2
    #: Weights: they are read, updated, and written again.
    W = 3
    #: The queue of the output stream.
    OUT = 4


class Function(IntEnum):
    """What a pass computes of each sum."""

    #: The sum as it is.
    COPY = 0
    #: ReLU and Q_A: an activation and its masks.
    ACTIVATE = 1
    #: The largest magnitude, and its exponent after the last vector.
    MAXIMUM = 2
    #: Q_E by the latest exponent.
    ERROR = 3
    #: Q_G by the latest exponent, and the update of a weight.
    UPDATE = 4
    #: The class with the largest sum, compared with the label.
    CLASSIFY = 5


class Move(IntEnum):
    """What a mover carries."""

    #: Samples: the words of each, then its label.
    SAMPLES = 0
    #: Stored weights, row by row.
    WEIGHTS = 1
    #: Rows of sums that a pass has put into the output queue.
    SCORES = 2


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A wait for another engine, before each chunk.

    Chunk i waits until the other engine has finished `count` + `slope` i chunks more than before
    its current step; the step is the waiting engine's. A negative count means the step before.

    Parameters
    ----------
    on
        Whether to wait.
    count
        Chunks for which the first chunk waits.
    slope
        Chunks more for each further chunk.
    """

    on: bool = bits(1, "Whether to wait", default=False)
    count: int = bits(16, "Chunks for which the first chunk waits", signed=True)
    slope: int = bits(8, "Chunks more for each further chunk")


@dataclass(frozen=True, kw_only=True)
class TermLoop:
    """A loop over the terms of a tile's sums; the last one is the innermost.

    Parameters
    ----------
    count
        Iterations.
    a, b
        Strides of the operands.
    """

    count: int = bits(16, "Iterations", less_one=True)
    a: Index = group(Index(), "Stride of operand A")
    b: Index = group(Index(), "Stride of operand B")


@dataclass(frozen=True, kw_only=True)
class TileLoop(TermLoop):
    """A loop over tiles; the first one is the outermost.

    Parameters
    ----------
    s
        Stride of the tile's rows of sums.

    The others are those of `TermLoop`.
    """

    s: int = bits(20, "Stride of the rows of sums", signed=True)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Bounds of a loop over terms that depend on the place of the tile in an image.

    With u the iteration of a loop over tiles, the loop runs from max(0, low - slope u) to
    min(count, high - slope u): taps outside the image are left out.

    Parameters
    ----------
    on
        Whether the loop is clipped.
    low, high
        The bounds at place 0.
    slope
        How they move from place to place.
    loop
        The loop over tiles that counts the places.
    """

    on: bool = bits(1, "Whether the loop is clipped", default=False)
    low: int = bits(16, "Lower bound at place 0", signed=True)
    high: int = bits(16, "Upper bound at place 0", signed=True)
    slope: int = bits(8, "How the bounds move from place to place", signed=True)
    loop: int = bits(3, "The loop over tiles that counts the places")


@dataclass(frozen=True, kw_only=True)
class LaneLoop:
    """A loop over the lanes of an operand; the last one is the innermost.

    Parameters
    ----------
    count
        Iterations.
    stride
        Distance of the words of neighbouring lanes; the sum of all strides up to lane j is j modulo
        the number of banks. So the core needs the addresses of strides alone.
    """

    count: int = bits(8, "Iterations", less_one=True)
    stride: Index = group(Index(), "Distance of the words of neighbouring lanes")


@dataclass(frozen=True, kw_only=True)
class Last:
    """Lanes of the last block, where a size is no multiple of the lanes.

    Parameters
    ----------
    loops
        Loops whose last iterations together are the last block, one bit for each.
    lanes
        Lanes of the last block.
    """

    loops: int = bits(6, "Loops whose last iterations together are the last block")
    lanes: int = bits(8, "Lanes of the last block", less_one=True)


@dataclass(frozen=True, kw_only=True)
class ArrayInstruction:
    """A product, tile by tile.

    Parameters
    ----------
    opcode
        What is done with it.
    a_from, b_from
        Stores of the operands.
    quantize
        Whether Q_W makes forward weights of B's words.
    levels
        Number of outer loops whose iterations are chunks.
    pad
        Clocks before a tile's first operand, where it has fewer operands than the array has rows.
    a, b
        First words of the operands.
    second
        What is added to A's first word in every other step: the second input buffer.
    s
        First row of sums.
    a_end, b_end, s_end
        Addresses and rows below which all accesses are.
    tiles
        Loops over tiles.
    last_count
        Iterations of the first loop inside a chunk where the other loops over chunks, all but the
        first, are at their last iterations.
    terms
        Loops over terms.
    clips
        Bounds of the second and the third loop over terms.
    a_lanes
        Loops over the lanes of A.
    b_stride
        Distance of the words of B's neighbouring lanes.
    rows, columns
        Lanes of the last blocks.
    waits
        Waits for the other engines.
    """

    opcode: Opcode = bits(4, "What is done with it", default=Opcode.RUN)
    a_from: Store = bits(2, "Store of operand A", default=Store.X)
    b_from: Store = bits(2, "Store of operand B", default=Store.X)
    quantize: bool = bits(1, "Whether Q_W makes forward weights of B's words", default=False)
    levels: int = bits(2, "Outer loops whose iterations are chunks", default=1)
    pad: int = bits(8, "Clocks before a tile's first operand")
    a: Index = group(Index(), "First word of operand A")
    b: Index = group(Index(), "First word of operand B")
    second: Index = group(Index(), "Added to A's first word in every other step")
    s: int = bits(20, "First row of sums")
    a_end: int = bits(20, "Address below which all of A is")
    b_end: int = bits(20, "Address below which all of B is")
    s_end: int = bits(20, "Row below which all sums are")
    tiles: tuple[TileLoop, ...] = group((TileLoop(),) * TILE_LOOPS, "Loops over tiles")
    last_count: int = bits(
        16, "Iterations of the first loop inside a chunk, in a block's last chunk", less_one=True
    )
    terms: tuple[TermLoop, ...] = group((TermLoop(),) * TERM_LOOPS, "Loops over terms")
    clips: tuple[Clip, ...] = group((Clip(),) * 2, "Bounds of the second and third of them")
    a_lanes: tuple[LaneLoop, ...] = group((LaneLoop(),) * LANE_LOOPS, "Loops over the lanes of A")
    b_stride: Index = group(Index(), "Distance of the words of B's neighbouring lanes")
    rows: Last = group(Last(), "Rows of the last row block")
    columns: Last = group(Last(), "Columns of the last column block")
    waits: tuple[Wait, ...] = group((Wait(),) * 3, "Waits for the other engines")


@dataclass(frozen=True, kw_only=True)
class PassLoop:
    """A loop of a pass; the first one is the outermost.

    Parameters
    ----------
    count
        Iterations.
    s, k
        Strides of the rows of sums and of masks.
    target
        Stride of the words that are written.
    """

    count: int = bits(16, "Iterations", less_one=True)
    s: int = bits(20, "Stride of the rows of sums", signed=True)
    k: int = bits(20, "Stride of the rows of masks", signed=True)
    target: Index = group(Index(), "Stride of the words that are written")


@dataclass(frozen=True, kw_only=True)
class VectorInstruction:
    """A pass over rows of sums, one vector for each.

    Parameters
    ----------
    opcode
        What is done with it.
    function
        What is computed.
    target
        Where the results go.
    masked
        Whether sums count as 0 where their activation was clipped, and results are 0 where it was
        not active.
    labelled
        Whether the code of 1 is subtracted from the sum of the sample's class.
    settle
        Whether the first chunk waits until all earlier passes have ended; that of an update must.
    levels
        Number of outer loops whose iterations are chunks.
    shift
        Bits that Q_A drops; log2 of the code of 1.
    scalar
        Number of the register that keeps maximum and exponent.
    layer
        Number of its layer, from 1, for the status.
    sample_loop, class_loop
        Loops that count the samples and the blocks of classes.
    s, k
        First rows of sums and of masks.
    s_end, k_end
        Rows below which all of them are.
    to
        First word that is written.
    to_end
        Address below which all of these are.
    loops
        The loops.
    last_count
        Iterations of the first loop inside a chunk where the other loops over chunks, all but the
        first, are at their last iterations.
    lanes
        Lanes of the last block.
    waits
        Waits for the other engines.
    """

    opcode: Opcode = bits(4, "What is done with it", default=Opcode.RUN)
    function: Function = bits(3, "What is computed", default=Function.COPY)
    target: Target = bits(3, "Where the results go", default=Target.NONE)
    masked: bool = bits(1, "Whether the masks of the activations apply", default=False)
    labelled: bool = bits(
        1, "Whether the code of 1 is subtracted at the sample's class", default=False
    )
    settle: bool = bits(1, "Whether to wait until earlier passes have ended", default=False)
    levels: int = bits(2, "Outer loops whose iterations are chunks", default=1)
    shift: int = bits(6, "Bits that Q_A drops; log2 of the code of 1")
    scalar: int = bits(6, "Register that keeps maximum and exponent")
    layer: int = bits(LAYER_BITS, "Number of its layer, from 1, for the status")
    sample_loop: int = bits(2, "Loop that counts the samples")
    class_loop: int = bits(2, "Loop that counts the blocks of classes")
    s: int = bits(20, "First row of sums")
    k: int = bits(20, "First row of masks")
    s_end: int = bits(20, "Row below which all sums are")
    k_end: int = bits(20, "Row below which all masks are")
    to: Index = group(Index(), "First word that is written")
    to_end: int = bits(20, "Address below which all of these are")
    loops: tuple[PassLoop, ...] = group((PassLoop(),) * PASS_LOOPS, "Loops")
    last_count: int = bits(
        16, "Iterations of the first loop inside a chunk, in a block's last chunk", less_one=True
    )
    lanes: Last = group(Last(), "Lanes of the last block")
    waits: tuple[Wait, ...] = group((Wait(),) * 3, "Waits for the other engines")


@dataclass(frozen=True, kw_only=True)
class MoveLoop:
    """A loop of a move; the first one is the outermost.

    Parameters
    ----------
    count
        Iterations.
    stride
        Stride of the words in the store.
    """

    count: int = bits(16, "Iterations", less_one=True)
    stride: Index = group(Index(), "Stride of the words in the store")


@dataclass(frozen=True, kw_only=True)
class MoveInstruction:
    """A move of words between a store and a stream, a beat of one word a bank at a time.

    The innermost loop counts the beats of a sample or of a row of weights.

    Parameters
    ----------
    opcode
        What is done with it.
    move
        What is carried.
    layer
        Number of its layer, from 1, for the status.
    at
        First word in the store.
    second
        What is added to it in every other step.
    end
        Address below which all words are.
    loops
        The loops: rows, one iteration that is reserved for a level between, and beats.
    lanes
        Words of the last beat of a row.
    waits
        Waits for the other engines.
    """

    opcode: Opcode = bits(4, "What is done with it", default=Opcode.RUN)
    move: Move = bits(2, "What is carried", default=Move.SAMPLES)
    layer: int = bits(LAYER_BITS, "Number of its layer, from 1, for the status")
    at: Index = group(Index(), "First word in the store")
    second: Index = group(Index(), "Added to it in every other step")
    end: int = bits(20, "Address below which all words are")
    loops: tuple[MoveLoop, ...] = group((MoveLoop(),) * MOVE_LOOPS, "Loops")
    lanes: int = bits(8, "Words of the last beat of a row", less_one=True)
    waits: tuple[Wait, ...] = group((Wait(),) * 3, "Waits for the other engines")


Instruction = ArrayInstruction | VectorInstruction | MoveInstruction

#: The instruction of each engine.
INSTRUCTIONS: dict[Engine, type[Instruction]] = {
    Engine.ARRAY: ArrayInstruction,
    Engine.VECTOR: VectorInstruction,
    Engine.IN: MoveInstruction,
    Engine.OUT: MoveInstruction,
}
