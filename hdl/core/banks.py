"""Memories of the core: banks of words with two ports, and stores of whole rows.

A memory's data are two clocks behind its address: block RAM has a register at its output, without
which it would set the clock.
"""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden import check
from golden.core.banks import BanksConfig, RowStoreConfig
from hdl.cells import CELLS, Cells


class Banks(wiring.Component):
    """Banks of words; each has a port that reads and one that reads or writes.

    Parameters
    ----------
    config
        Number and size of the banks.
    cells
        Technology of the memories.

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

    Examples
    --------
    >>> banks = Banks(BanksConfig(banks=12, words=2000))
    >>> print(banks.a_address.shape(), banks.a_data.shape())
    ArrayLayout(11, 12) ArrayLayout(8, 12)
    """

    a_address: data.View
    a_data: data.View
    b_address: data.View
    b_write: data.View
    b_value: data.View
    b_data: data.View

    def __init__(self, config: BanksConfig, *, cells: Cells = CELLS["generic"]):
        check.instance("config", config, BanksConfig)
        check.instance("cells", cells, Cells)
        self.config = config
        self.cells = cells
        banks = config.banks
        address = data.ArrayLayout(config.address_bits, banks)
        value = data.ArrayLayout(config.width, banks)
        super().__init__(
            {
                "a_address": In(address),
                "a_data": Out(value),
                "b_address": In(address),
                "b_write": In(data.ArrayLayout(1, banks)),
                "b_value": In(value),
                "b_data": Out(value),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bank in range(self.config.banks):
            found = self.cells.bank(
                m,
                f"bank_{bank}",
                self.config.words,
                self.config.width,
                a=self.a_address[bank],
                b=self.b_address[bank],
                write=self.b_write[bank],
                value=self.b_value[bank],
            )
            m.d.comb += [self.a_data[bank].eq(found[0]), self.b_data[bank].eq(found[1])]
        return m


class RowStore(wiring.Component):
    """Rows of values; one is written and one is read in a clock.

    Parameters
    ----------
    config
        Number and size of the rows.
    cells
        Technology of the memory.

    Members
    -------
    write : In(1), to : In(row), value : In(lanes values)
        A row is written.
    row : In(row)
        The row to be read; it is at `data` two clocks later.
    data : Out(lanes values)

    Examples
    --------
    >>> store = RowStore(RowStoreConfig(rows=100))
    >>> print(store.row.shape(), store.data.shape())
    unsigned(7) ArrayLayout(21, 8)
    """

    write: Signal
    to: Signal
    value: data.View
    row: Signal
    data: data.View

    def __init__(self, config: RowStoreConfig, *, cells: Cells = CELLS["generic"]):
        check.instance("config", config, RowStoreConfig)
        check.instance("cells", cells, Cells)
        self.config = config
        self.cells = cells
        row = data.ArrayLayout(config.width, config.lanes)
        super().__init__(
            {
                "write": In(1),
                "to": In(config.row_bits),
                "value": In(row),
                "row": In(config.row_bits),
                "data": Out(row),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        found = self.cells.rows(
            m,
            "rows",
            self.config.rows,
            len(Value.cast(self.value)),
            write=self.write,
            to=self.to,
            value=Value.cast(self.value),
            row=self.row,
        )
        m.d.comb += Value.cast(self.data).eq(found)
        return m
