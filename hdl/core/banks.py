"""Memories of the core: banks of words with two ports, and stores of whole rows.

A memory's data are two clocks behind its address: block RAM has a register at its output, without
which it would set the clock.
"""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

#: The tool need not make a read of a word that is written in the same clock return the old one; the
#: core never does that.
NO_CHECK: dict[str, Any] = {"no_rw_check": 1}


class Banks(wiring.Component):
    """Banks of words; each has a port that reads and one that reads or writes.

    Parameters
    ----------
    banks
        Number of banks.
    words
        Words of each.
    width
        Bits of a word.

    Members
    -------
    a_address : In(banks addresses)
        Words to be read; they are at `a_data` two clocks later.
    a_data : Out(banks words)
    b_address : In(banks addresses)
        Words to be read or written.
    b_write : In(banks bits)
        The bank's word is written at this clock edge.
    b_value : In(banks words)
        What is written.
    b_data : Out(banks words)
        Words that were addressed two clocks ago and not written.
    """

    a_address: data.View
    a_data: data.View
    b_address: data.View
    b_write: Signal
    b_value: data.View
    b_data: data.View

    def __init__(self, banks: int, words: int, width: int):
        self.banks = banks
        self.words = words
        self.width = width
        address = data.ArrayLayout(range(words), banks)
        value = data.ArrayLayout(width, banks)
        super().__init__(
            {
                "a_address": In(address),
                "a_data": Out(value),
                "b_address": In(address),
                "b_write": In(banks),
                "b_value": In(value),
                "b_data": Out(value),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bank in range(self.banks):
            memory: Memory[Any, Any] = Memory(
                shape=self.width, depth=self.words, init=[], attrs=NO_CHECK
            )
            m.submodules[f"bank_{bank}"] = memory
            a, b, w = memory.read_port(), memory.read_port(), memory.write_port()
            m.d.comb += [
                a.addr.eq(self.a_address[bank]),
                b.addr.eq(self.b_address[bank]),
                w.addr.eq(self.b_address[bank]),
                w.en.eq(self.b_write[bank]),
                w.data.eq(self.b_value[bank]),
            ]
            for port, taken in ((a, self.a_data), (b, self.b_data)):
                register = Signal(self.width, name=f"data_{bank}", reset_less=True)
                m.d.sync += register.eq(port.data)
                m.d.comb += taken[bank].eq(register)
        return m


class RowStore(wiring.Component):
    """Rows of values; one is written and one is read in a clock.

    Parameters
    ----------
    rows
        Number of rows.
    width
        Bits of a row.

    Members
    -------
    write : In(1), to : In(row), value : In(width)
        A row is written.
    row : In(row)
        The row to be read; it is at `data` two clocks later.
    data : Out(width)
    """

    write: Signal
    to: Signal
    value: Signal
    row: Signal
    data: Signal

    def __init__(self, rows: int, width: int):
        self.rows = rows
        self.width = width
        super().__init__(
            {
                "write": In(1),
                "to": In(range(rows)),
                "value": In(width),
                "row": In(range(rows)),
                "data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory[Any, Any] = Memory(
            shape=self.width, depth=self.rows, init=[], attrs=NO_CHECK
        )
        m.submodules.memory = memory
        read, write = memory.read_port(), memory.write_port()
        register = Signal(self.width, reset_less=True)
        m.d.comb += [
            read.addr.eq(self.row),
            write.addr.eq(self.to),
            write.en.eq(self.write),
            write.data.eq(self.value),
            self.data.eq(register),
        ]
        m.d.sync += register.eq(read.data)
        return m
