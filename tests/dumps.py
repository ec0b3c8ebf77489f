# amaranth: UnusedElaboratable=no
"""Waveform files in the making, of units whose twins say what is in them."""

from itertools import count

import numpy as np
from toys import Counter, CounterTwin, Difference, DifferenceTwin

from golden.port import inputs_of, outputs_of
from gradloom.comparison.waveform_reader import compare_waveform
from gradloom.sim.toplevel import flatten

CLOCKS = 60
RESETS = 3  # clocks of the first reset


def bits(value, width):
    return format(value & ((1 << width) - 1), f"0{width}b")


class Dump:
    """A VCD file in the making: the bits of every port at every clock, as text.

    Edge t is at (t + 1) * 10 ns; values change at the times of edges, as with nonblocking
    assignments, and are listed behind the clock or before it.
    """

    def __init__(self, component, twin, inputs):
        ports = flatten(component)
        self.ports = [*inputs_of(ports), *outputs_of(ports)]
        values = {**inputs, **twin.run(inputs)}
        self.rows = {
            port.name: [
                [bits(code, port.width) for code in row]
                for row in np.asarray(values[port.name]).reshape(len(inputs["rst"]), -1).tolist()
            ]
            for port in self.ports
        }

    def write(self, path, *, layout="vector", scopes=("tb.dut",), clock="clk", clock_first=True):
        keys = (f"<{k}>" for k in count())
        variables = []  # name, bits, key, and the text at a clock
        for port in self.ports:
            rows = self.rows[port.name]
            if layout == "vector" or port.bits == 1:
                index = f" [{port.bits - 1}:0]" if port.bits > 1 else ""
                texts = ["".join(reversed(row)) for row in rows]
                variables.append((port.name + index, port.bits, next(keys), texts))
            elif layout == "lanes" and port.lanes:
                for lane in range(port.lanes):
                    name = f"\\{port.name}[{lane}] [{port.width - 1}:0]"
                    texts = [row[lane] for row in rows]
                    variables.append((name, port.width, next(keys), texts))
            else:
                for bit in range(port.bits):
                    texts = ["".join(reversed(row))[-1 - bit] for row in rows]
                    variables.append((f"{port.name} [{bit}]", 1, next(keys), texts))
        lines = ["$timescale 1ns $end"]
        for scope in scopes:
            path_of = scope.split(".")
            lines += [f"$scope module {name} $end" for name in path_of]
            suffix = "" if scope == scopes[0] else scope  # other signals than in the first scope
            lines.append(f"$var wire 1 ! {clock} $end")
            lines += [f"$var wire {n} {key}{suffix} {name} $end" for name, n, key, _ in variables]
            lines += ["$upscope $end" for _ in path_of]
        lines += ["$enddefinitions $end", "#0", "0!"]
        for t in range(len(self.rows["rst"])):
            changes = []
            for _, width, key, texts in variables:
                if not t or texts[t] != texts[t - 1]:
                    text = f"b{texts[t]} " if width > 1 else texts[t]
                    changes += [
                        f"{text}{key}{'' if scope == scopes[0] else scope}" for scope in scopes
                    ]
            if t:
                lines += [f"#{t * 10}", *(["1!", *changes] if clock_first else [*changes, "1!"])]
            else:
                lines += changes
            lines += [f"#{t * 10 + 5}", "0!"]
        lines += [f"#{len(self.rows['rst']) * 10}", "1!", ""]
        path.write_text("\n".join(lines))
        return path


def counting(clocks=CLOCKS, more_resets=()):
    rst = np.zeros(clocks, np.int64)
    rst[[*range(RESETS), *more_resets]] = 1
    enable = np.random.default_rng(3).integers(0, 2, clocks)
    return Dump(Counter(), CounterTwin(), {"rst": rst, "enable": enable})


def subtracting(clocks=CLOCKS):
    rng = np.random.default_rng(4)
    rst = (np.arange(clocks) < RESETS).astype(np.int64)
    operands = {name: rng.integers(-16, 16, (clocks, 3)) for name in "ab"}
    return Dump(Difference(), DifferenceTwin(), {"rst": rst, **operands})


def against_counter(path, **settings):
    return compare_waveform(Counter(), CounterTwin(), path, **settings)


def against_difference(path, **settings):
    return compare_waveform(Difference(), DifferenceTwin(), path, **settings)
