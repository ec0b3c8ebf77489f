"""Simulates many mutants of one netlist at once, one bit of a machine word per mutant.

Each net is one or several words of 64 bits, and a gate is evaluated for all mutants by one bitwise
operation per word. The expected outputs are known beforehand. A mutant is killed at the first clock
at which any output bit differs from them.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.port import Port
from golden.twin import Trace
from gradloom.mutate.netlist import SELECT, Gates
from gradloom.sim import library
from gradloom.sim.cxxrtl import compiler, tool
from gradloom.sim.packing import to_bits

_SOURCE = r"""
#include <cstdint>
#include <cstring>

namespace {
const uint64_t ones = ~uint64_t(0);

template<int W>
void evaluate(const uint32_t *gate, const uint32_t *end, uint64_t *net) {
    for (; gate < end; gate += 5) {
        uint64_t *out = net + size_t(gate[1]) * W;
        const uint64_t *a = net + size_t(gate[2] >> 1) * W, *b = net + size_t(gate[3] >> 1) * W;
        const uint64_t na = gate[2] & 1 ? ones : 0, nb = gate[3] & 1 ? ones : 0;
        if (gate[0] == 0) {
            for (int w = 0; w < W; w++) out[w] = (a[w] ^ na) & (b[w] ^ nb);
        } else if (gate[0] == 1) {
            for (int w = 0; w < W; w++) out[w] = a[w] ^ b[w] ^ na ^ nb;
        } else {
            const uint64_t *c = net + size_t(gate[4] >> 1) * W;
            const uint64_t nc = gate[4] & 1 ? ones : 0;
            for (int w = 0; w < W; w++) {
                const uint64_t s = c[w] ^ nc;
                out[w] = (s & (b[w] ^ nb)) | (~s & (a[w] ^ na));
            }
        }
    }
}

template<int W>
void simulate(const uint32_t *gates, uint64_t count, uint64_t still, const uint32_t *registers,
              uint64_t registers_count, uint64_t *net, uint64_t *next, const uint32_t *ins,
              uint64_t ins_count, const uint8_t *stimulus, const uint32_t *outs,
              uint64_t outs_count, const uint8_t *expected, uint64_t clocks, uint64_t *alive,
              int64_t *first) {
    evaluate<W>(gates, gates + 5 * still, net);
    for (uint64_t clock = 0; clock < clocks; clock++) {
        for (uint64_t k = 0; k < ins_count; k++)
            for (int w = 0; w < W; w++)
                net[size_t(ins[k] >> 1) * W + w] = stimulus[clock * ins_count + k] ? ones : 0;
        evaluate<W>(gates + 5 * still, gates + 5 * count, net);
        uint64_t wrong[W] = {};
        for (uint64_t k = 0; k < outs_count; k++) {
            const uint64_t *value = net + size_t(outs[k] >> 1) * W;
            const uint64_t want =
                (outs[k] & 1 ? ones : 0) ^ (expected[clock * outs_count + k] ? ones : 0);
            for (int w = 0; w < W; w++) wrong[w] |= value[w] ^ want;
        }
        uint64_t left = 0;
        for (int w = 0; w < W; w++) {
            uint64_t dead = wrong[w] & alive[w];
            for (int bit = 0; dead; bit++, dead >>= 1)
                if (dead & 1) first[w * 64 + bit] = int64_t(clock);
            alive[w] &= ~wrong[w];
            left |= alive[w];
        }
        if (!left) return;
        for (uint64_t k = 0; k < registers_count; k++) {
            const uint32_t d = registers[2 * k + 1];
            for (int w = 0; w < W; w++)
                next[k * W + w] = net[size_t(d >> 1) * W + w] ^ (d & 1 ? ones : 0);
        }
        for (uint64_t k = 0; k < registers_count; k++)
            std::memcpy(net + size_t(registers[2 * k]) * W, next + k * W, sizeof(uint64_t) * W);
    }
}
}

extern "C" void gradloom_mutants(
    uint64_t words, const uint32_t *gates, uint64_t count, uint64_t still,
    const uint32_t *registers, uint64_t registers_count, uint64_t *net, uint64_t *next,
    const uint32_t *ins, uint64_t ins_count, const uint8_t *stimulus, const uint32_t *outs,
    uint64_t outs_count, const uint8_t *expected, uint64_t clocks, uint64_t *alive,
    int64_t *first) {
    (words == 1 ? simulate<1> : simulate<8>)(
        gates, count, still, registers, registers_count, net, next, ins, ins_count, stimulus, outs,
        outs_count, expected, clocks, alive, first);
}
"""


@lru_cache
def _kernel() -> ctypes.CDLL:
    """Return the compiled simulator, which is built once and cached on disk."""
    command = [*compiler(), "-std=c++14", "-O3", "-fPIC", "-shared", "-w"]

    def make(made: Path) -> None:
        code = made.with_suffix(".cc")
        code.write_text(_SOURCE, "utf-8")
        tool([*command, str(code), "-o", str(made)])

    return library.load([_SOURCE, *command, tool([*compiler(), "--version"])], make)


def killed(
    netlist: Gates,
    numbers: Sequence[int],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    stimulus: Trace,
    expected: Trace,
) -> dict[int, int]:
    """Return the mutants whose outputs differ from the expected ones.

    Parameters
    ----------
    netlist
        The netlist with the mutations.
    numbers
        Numbers of the mutants to simulate; 0 is the unit itself.
    inputs, outputs
        The unit's ports.
    stimulus, expected
        Values of inputs and outputs by port: one row per clock edge.

    Returns
    -------
    dict of int to int
        Number of a mutant to the first clock at which an output differs, for the mutants that are
        killed.

    Raises
    ------
    BuildError
        There is no C++ compiler.
    """
    kernel = _kernel()
    ins = np.array([x for port in inputs for x in netlist.ports[port.name]], np.uint32)
    outs = np.array([x for port in outputs for x in netlist.ports[port.name]], np.uint32)
    given, wanted = to_bits(inputs, stimulus), to_bits(outputs, expected)
    found: dict[int, int] = {}
    step = 512 if len(numbers) > 64 else 64
    for start in range(0, len(numbers), step):
        group = list(numbers[start : start + step])
        words = step // 64
        net = np.zeros((netlist.nets, words), np.uint64)
        lanes = np.array(group + [0] * (step - len(group)), np.uint64)
        weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
        for position, operand in enumerate(netlist.ports.get(SELECT, [])):
            bits = (lanes >> np.uint64(position)) & np.uint64(1)
            net[operand >> 1] = (bits.reshape(words, 64) * weights).sum(axis=1, dtype=np.uint64)
        ones = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
        net[netlist.registers[:, 0]] = np.where(netlist.initial[:, None], ones, np.uint64(0))
        after = np.zeros((len(netlist.registers), words), np.uint64)
        living = np.arange(step) < len(group)
        alive = (living.reshape(words, 64) * weights).sum(axis=1, dtype=np.uint64)
        first = np.full(step, -1, np.int64)
        call = [
            np.ascontiguousarray(array)
            for array in (netlist.gates, netlist.registers, ins, outs, given, wanted)
        ]
        gates, registers, ins_, outs_, given_, wanted_ = call

        def at(array: NDArray) -> ctypes.c_void_p:
            return ctypes.c_void_p(array.ctypes.data)

        def size(number: int) -> ctypes.c_uint64:
            return ctypes.c_uint64(number)

        kernel.gradloom_mutants(
            size(words),
            at(gates),
            size(len(gates)),
            size(netlist.still),
            at(registers),
            size(len(registers)),
            at(net),
            at(after),
            at(ins_),
            size(len(ins_)),
            at(given_),
            at(outs_),
            size(len(outs_)),
            at(wanted_),
            size(len(given_)),
            at(alive),
            at(first),
        )
        found |= {number: int(clock) for number, clock in zip(group, first) if clock >= 0}
    return found
