"""The foot of the array: from the bottom row's drains to whole rows in the output FIFO."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data

from golden.array import ArrayConfig
from golden.fixed import Rounding
from golden.rounder import PIPELINE_LATENCY
from hdl.buffer import Buffer
from hdl.cells import Cells
from hdl.delay import delay_line, fan_out
from hdl.lfsr import words
from hdl.rounder import RoundingPipeline, select


def foot(
    m: Module,
    config: ArrayConfig,
    cells: Cells,
    drains: Sequence[Value],
    begins: Value,
    choice: Value | None,
    buffer: Buffer,
    random: tuple[data.View, data.View] | None,
) -> None:
    """Align the segments, round, deskew, and write rows to the output FIFO.

    Parameters
    ----------
    m
        The array's module.
    config
        The array's configuration.
    cells
        Technology of rounders and control registers.
    drains
        `drain` of the bottom row's nodes.
    begins
        High one clock before column 0 has row R-1 of a tile, all of its segments.
    choice
        The tile's conversion, together with `begins`; None where there is only one.
    buffer
        The output FIFO.
    random
        Ports for random words and for the columns that draw them; None where the array has
        generators of its own.
    """
    rows, columns = config.rows, config.columns

    # Column 0 has one row at its foot per clock, for R clocks after `begins`; column c is c clocks
    # behind column 0.
    draining = Signal()
    row = Signal(range(rows))
    with m.If(begins):
        m.d.sync += [draining.eq(1), row.eq(rows - 1)]
    with m.Elif(row == 0):
        m.d.sync += draining.eq(0)
    with m.Else():
        m.d.sync += row.eq(row - 1)
    ends = Signal()
    m.d.comb += ends.eq(draining & (row == 0))
    to_buffer = columns - 1 + (PIPELINE_LATENCY if config.conversions else 0)
    # The last clocks of `valid` on its way are the duplicated registers below.
    spread = min(to_buffer, 3 if cells.duplicate else 1)
    valid = delay_line(m, draining, to_buffer - spread, "draining", reset_less=False)
    if choice is not None:
        chosen = Signal.like(choice, name="chosen", reset_less=True)
        with m.If(begins):
            m.d.sync += chosen.eq(choice)
        choices = delay_line(m, chosen, columns - 1, "chosen")
    if random is not None:
        draws = _draws(m, config, begins, draining, choice, valid)

    for column, drain in enumerate(drains):
        # Segment k is k clocks behind the lowest one.
        lag = config.macc.segments - 1
        level = Signal(signed(config.macc.width), name=f"level_{column}")
        m.d.comb += level.eq(
            Cat(
                delay_line(m, drain[low:high], lag - k, f"foot_{column}_{k}")[-1]
                for k, (low, high) in enumerate(config.node(rows - 1, column).cuts)
            ).as_signed()
        )
        value: Value = level
        if config.rounder:
            m.submodules[f"rounder_{column}"] = rounder = RoundingPipeline(
                config.rounder, cells=cells
            )
            m.d.comb += [
                rounder.operand.valid.eq(valid[column]),
                rounder.operand.payload.data[0].eq(level),
            ]
            if choice is not None:
                m.d.comb += rounder.operand.payload.choice.eq(choices[column])
            if random is not None:
                words_in, draws_out = random
                m.d.comb += [
                    rounder.random[0].eq(words_in[column]),
                    draws_out[column].eq(draws[column]),
                ]
            elif rounder.draws:
                lane = config.lfsr.lane(column)
                m.d.comb += rounder.random.eq(words(m, f"lfsr_{column}", lane, valid[column]))
            value = rounder.result.payload.data[0]
            if config.saturated:
                clipped = rounder.result.payload.saturated[0]
                line = delay_line(m, clipped, columns - 1 - column, f"deskew_clipped_{column}")
                m.d.comb += buffer.i_payload.saturated[column].eq(line[-1])
        deskewed = delay_line(m, value, columns - 1 - column, f"deskew_{column}")[-1]
        m.d.comb += buffer.i_payload.data[column].eq(deskewed)

    # One write enable for each slice of the FIFO, from registers of its own.
    count = len(buffer.i_valid)
    writes = [valid[-1]] * count
    if spread:
        writes = fan_out(
            m,
            valid[-1],
            "write",
            count,
            duplicate=cells.duplicate,
            clocks=spread,
            reset_less=False,
        )
    m.d.comb += buffer.i_valid.eq(Cat(writes))
    m.d.comb += buffer.i_payload.last.eq(delay_line(m, ends, to_buffer, "ends")[-1])


def _draws(
    m: Module,
    config: ArrayConfig,
    begins: Value,
    draining: Value,
    choice: Value | None,
    valid: list[Value],
) -> list[Value]:
    """Whether each column draws a word from outside; where it has a row, `valid` is high."""
    stochastic = [conversion.rounding is Rounding.STOCHASTIC for conversion in config.conversions]
    if choice is None or all(stochastic):
        return valid
    rounds, tile = Signal(), Signal()
    select(m, choice, rounds, stochastic)
    with m.If(begins):
        m.d.sync += tile.eq(rounds)
    return delay_line(m, draining & tile, config.columns - 1, "drawing", reset_less=False)
