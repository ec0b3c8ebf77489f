"""A counterexample: values of the ports clock by clock, and a waveform file for viewers.

Yosys's own waveform has backslashes in its names and no clock. Both are corrected here.
"""

from collections.abc import Sequence
from io import BytesIO, StringIO

import numpy as np
from vcd import VCDWriter
from vcd.reader import TokenKind, tokenize

from golden.port import RESET, Port
from gradloom.sim.packing import from_numbers

#: Nanoseconds per clock.
_PERIOD = 10

#: Name in the netlist to width and values, one per clock.
Signals = dict[str, tuple[int, list[int]]]


def read(text: str) -> Signals:
    """Return the signals in a waveform that Yosys wrote."""
    names: dict[str, list[str]] = {}
    widths: dict[str, int] = {}
    values: dict[str, list[int]] = {}
    current: dict[str, int] = {}
    clocks = 0

    def keep() -> None:
        for name in values:
            values[name].append(current.get(name, 0))

    for token in tokenize(BytesIO(text.encode())):
        match token.kind:
            case TokenKind.VAR:
                name = token.var.reference.removeprefix("\\")
                if token.var.bit_index is not None:
                    name += f"[{token.var.bit_index}]"
                names.setdefault(token.var.id_code, []).append(name)
                widths[name] = token.var.size
                values[name] = []
            case TokenKind.CHANGE_TIME:
                # The first time has the values of the first clock.
                if clocks:
                    keep()
                clocks += 1
            case TokenKind.CHANGE_SCALAR | TokenKind.CHANGE_VECTOR:
                change = (
                    token.scalar_change
                    if token.kind is TokenKind.CHANGE_SCALAR
                    else token.vector_change
                )
                digits = str(change.value)
                number = int(digits, 10) if digits.isdecimal() else 0
                for name in names[change.id_code]:
                    current[name] = number
    return {name: (widths[name], numbers) for name, numbers in values.items()}


def words(ports: Sequence[Port], signals: Signals) -> list[str]:
    """Return one line per clock with the values of inputs and outputs."""
    ports = [RESET, *ports]
    length = max((len(numbers) for _, numbers in signals.values()), default=0)
    lines = []
    for clock in range(length):
        sides = []
        for direction in ("in", "out"):
            sides.append(
                " ".join(
                    f"{port.name}={_shown(port, signals[port.name][1][clock])}"
                    for port in ports
                    if port.direction == direction and port.name in signals
                )
            )
        lines.append(f"clock {clock}: {sides[0]} -> {sides[1]}")
    return lines


def _shown(port: Port, bits: int) -> str:
    """Return the value of a port as text."""
    codes = [str(code) for code in np.ravel(from_numbers(port, [bits])).tolist()]
    return codes[0] if port.lanes in (None, 1) else f"[{' '.join(codes)}]"


def waveform(ports: Sequence[Port], signals: Signals, flags: dict[str, str]) -> str:
    """Return a VCD file with the ports, the signals inside the module, and the bits in `flags`.

    Parameters
    ----------
    ports
        Ports of the module.
    signals
        Result of `read`.
    flags
        Signal of the bench to its name in the file.
    """
    plain = {RESET.name, *(port.name for port in ports)}
    file = StringIO()
    with VCDWriter(file, timescale="1 ns", date="") as writer:
        clk = writer.register_var("ports", "clk", "wire", 1, 0)
        shown = []
        for name, (width, numbers) in signals.items():
            if name in plain:
                scope, own = "ports", name
            elif name in flags:
                scope, own = "property", flags[name]
            elif name.startswith("dut."):
                scope, _, own = name.rpartition(".")
            else:
                continue
            # The backslash makes it one name. Without it, readers take [3] for bit 3 of a vector.
            own = f"\\{own}" if "[" in own else own
            shown.append((writer.register_var(scope, own, "wire", width, 0), numbers))
        length = max((len(numbers) for _, numbers in shown), default=0)
        for clock in range(length):
            writer.change(clk, clock * _PERIOD, int(clock > 0))
            for variable, numbers in shown:
                writer.change(variable, clock * _PERIOD, numbers[clock])
            writer.change(clk, clock * _PERIOD + _PERIOD // 2, 0)
        writer.change(clk, length * _PERIOD, 1)
    return file.getvalue()
