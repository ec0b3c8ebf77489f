"""Benches of the buses' generated Verilog: random traffic, stalls on every side."""

import itertools
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Combine, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

#: Addresses in words: with a register, and of all there is room for.
KNOWN = tuple(int(address) for address in os.environ["KNOWN"].split(","))
ROOM = int(os.environ["ROOM"])
#: Clocks within which an access is answered.
MOST = 20


def pauses(seed):
    """Endless random bits: whether to wait."""
    dice = random.Random(seed)
    often = dice.choice([0.1, 0.5, 0.8])
    return (dice.random() < often for _ in itertools.count())


async def start(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def hammer(manager):
    """Random reads and writes of single bytes and of words, each answered as it must be."""
    dice = random.Random(1)
    model = dict.fromkeys(KNOWN, 0)
    for _ in range(300):
        word, length = dice.randrange(ROOM), dice.choice([1, 2, 3, 4, 4, 4, 4])
        address = 4 * word + dice.randrange(5 - length)
        refused = word not in KNOWN
        if dice.random() < 0.5:
            data = dice.randbytes(length)
            answer = await manager.write(address, data)
            refused |= length < 4
            if not refused:
                model[word] = int.from_bytes(data, "little")
        else:
            answer = await manager.read(address, length)
            value = 0 if refused else model[word]
            whole = value.to_bytes(4, "little")
            assert bytes(answer.data) == whole[address % 4 :][:length]
        assert answer.resp == (AxiResp.SLVERR if refused else AxiResp.OKAY)


def axi(dut):
    return AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)


def stall(manager, seed):
    """Let every channel wait at random."""
    writes, reads = manager.write_if, manager.read_if
    channels = [writes.aw_channel, writes.w_channel, writes.b_channel]
    channels += [reads.ar_channel, reads.r_channel]
    for number, channel in enumerate(channels):
        channel.set_pause_generator(pauses(seed + number))


@cocotb.test()
async def axi_lite_answers(dut):
    manager = axi(dut)
    await start(dut)
    await hammer(manager)


@cocotb.test()
@cocotb.parametrize(seed=[1, 7, 20])
async def axi_lite_answers_with_stalls_on_every_side(dut, seed):
    manager = axi(dut)
    stall(manager, seed)
    await start(dut)
    await hammer(manager)


@cocotb.test()
@cocotb.parametrize(seed=[0, 3, 11])
async def axi_lite_keeps_the_order_of_many_at_a_time(dut, seed):
    manager = axi(dut)
    if seed:
        stall(manager, seed)
    await start(dut)
    words = [random.Random(seed).getrandbits(32) for _ in KNOWN]
    writes = [
        cocotb.start_soon(manager.write_dword(4 * address, word))
        for address, word in zip(KNOWN, words, strict=True)
    ]
    await Combine(*writes)
    reads = [manager.init_read(4 * (k % ROOM), 4) for k in range(100)]
    for k, event in enumerate(reads):
        await event.wait()
        found = dict(zip(KNOWN, words, strict=True)).get(k % ROOM)
        assert event.data.resp == (AxiResp.SLVERR if found is None else AxiResp.OKAY)
        assert int.from_bytes(event.data.data, "little") == (found or 0)


@cocotb.test()
@cocotb.parametrize(seed=[0, 5, 9])
async def axi_streams_carry_packets(dut, seed):
    """Through words of 12 bits and back: the bits beyond them are copies of the sign."""
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    if seed:
        source.set_pause_generator(pauses(seed))
        sink.set_pause_generator(pauses(seed + 1))
    await start(dut)
    dice, width = random.Random(seed), 6
    sent = [dice.randbytes(width * dice.randrange(1, 9)) for _ in range(40)]
    for data in sent:
        await source.send(AxiStreamFrame(data))
    for data in sent:
        frame = await sink.recv()
        words = [data[at] | (data[at + 1] & 0xF) << 8 for at in range(0, len(data), 2)]
        signed = [word - 4096 if word >> 11 else word for word in words]
        assert bytes(frame.tdata) == b"".join(
            word.to_bytes(2, "little", signed=True) for word in signed
        )
    assert sink.empty()


class Wishbone:
    """A master of Wishbone.

    Parameters
    ----------
    dut
        The design.
    dice
        Chances of its waits; None waits never.
    """

    def __init__(self, dut, dice=None):
        self.dut, self.dice = dut, dice

    async def access(self, address, value=None, select=15):
        """One access in a classic cycle: the answer, and what was read."""
        dut = self.dut
        dut.wb_adr.value, dut.wb_sel.value = address, select
        dut.wb_we.value, dut.wb_dat_w.value = int(value is not None), value or 0
        dut.wb_cyc.value = dut.wb_stb.value = 1
        for _ in range(MOST):
            await RisingEdge(dut.clk)
            ack, err = int(dut.wb_ack.value), int(dut.wb_err.value)
            if ack or err:
                break
        else:
            raise AssertionError(f"no answer within {MOST} clocks: address {address}")
        read = int(dut.wb_dat_r.value)
        dut.wb_stb.value = 0
        if self.dice is not None and self.dice.random() < 0.5:
            dut.wb_cyc.value = self.dice.randrange(2)
            await ClockCycles(dut.clk, self.dice.randrange(1, 6))
        return "err" if err else "ack", read


async def wishbone_start(dut):
    for name in ("cyc", "stb", "we", "adr", "sel", "dat_w"):
        getattr(dut, f"wb_{name}").value = 0
    await start(dut)


@cocotb.test()
@cocotb.parametrize(seed=[0, 4])
async def wishbone_answers(dut, seed):
    dice = random.Random(seed)
    master = Wishbone(dut, dice if seed else None)
    await wishbone_start(dut)
    model = dict.fromkeys(KNOWN, 0)
    for _ in range(300):
        word, select = dice.randrange(ROOM), dice.choice([15, 15, 15, dice.randrange(16)])
        value = dice.getrandbits(32) if dice.random() < 0.5 else None
        answer, read = await master.access(word, value, select)
        refused = word not in KNOWN or (value is not None and select != 15)
        assert answer == ("err" if refused else "ack")
        if value is None:
            assert read == (0 if refused else model[word])
        elif not refused:
            model[word] = value


@cocotb.test()
@cocotb.parametrize(seed=[0, 4])
async def pipelined_wishbone_answers_in_order(dut, seed):
    """Accesses back to back, with and without waits; nothing ever stalls."""
    dice = random.Random(seed)
    await wishbone_start(dut)
    model, wanted, found = dict.fromkeys(KNOWN, 0), [], []

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            assert not int(dut.wb_stall.value)
            if int(dut.wb_ack.value) or int(dut.wb_err.value):
                kind = "err" if int(dut.wb_err.value) else "ack"
                found.append((kind, int(dut.wb_dat_r.value)))

    cocotb.start_soon(watch())
    dut.wb_cyc.value = 1
    for _ in range(300):
        word, value = dice.randrange(ROOM), dice.getrandbits(32)
        writes, known = dice.random() < 0.5, word in KNOWN
        wanted.append(("ack" if known else "err", 0 if writes or not known else model[word]))
        if writes and known:
            model[word] = value
        dut.wb_stb.value, dut.wb_we.value, dut.wb_sel.value = 1, int(writes), 15
        dut.wb_adr.value, dut.wb_dat_w.value = word, value
        await RisingEdge(dut.clk)
        if seed and dice.random() < 0.4:
            dut.wb_stb.value = 0
            await ClockCycles(dut.clk, dice.randrange(1, 4))
    dut.wb_stb.value = 0
    await ClockCycles(dut.clk, 20)
    assert found == wanted
