# amaranth: UnusedElaboratable=no
"""Time and memory of `gradloom compare --waveform` on a large file.

A busy 8 x 8 array, with new values at nearly every clock, and an idle one, which has the most
clocks a byte. Resets let the comparison go on piece by piece; one long run is the harder case.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import golden
import hdl
from golden.port import inputs_of, outputs_of
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten

SIDE = 8
#: Clocks whose values are made at once, and about the bytes that one of them takes in a busy file.
CLOCKS, BYTES = 1 << 14, 345
#: Clocks at the beginning of an idle file that are not idle.
BUSY = 1000


def trace(clocks, resets, idle):
    """Ports and values of some clocks; the first is in reset and, with resets, the last as well."""
    config = golden.ArrayConfig(rows=SIDE, columns=SIDE)
    ports = flatten(hdl.Array(config))
    inputs = random_inputs(ports, clocks, seed=0)
    if not resets:
        inputs["rst"][:] = 0
    inputs["rst"][0] = 1
    inputs["rst"][-1] = resets
    if idle:
        for name, values in inputs.items():
            if name != "rst":
                values[BUSY:] = 0
    return inputs_of(ports) + outputs_of(ports), {**inputs, **golden.Array(config).run(inputs)}


def text(port, values):
    """The lines that a VCD file has of the values of a port, without the identifier."""
    lanes = values.reshape(len(values), -1)
    if port.bits == 1:
        return [f"{bit[0]}" for bit in lanes.tolist()]
    mask = (1 << port.width) - 1
    return [
        "b" + "".join(f"{code & mask:0{port.width}b}" for code in reversed(row)) + " "
        for row in lanes.tolist()
    ]


def write(path, size, resets, idle):
    """Write a VCD file of about `size` bytes; the number of its clocks."""
    # What begins and ends with a reset can be written again and again, the rest is made at once.
    clocks = CLOCKS if resets or idle else size // BYTES
    ports, values = trace(clocks, resets, idle)
    columns = {chr(34 + k): text(port, values[port.name]) for k, port in enumerate(ports)}
    now, last = 0, dict.fromkeys(columns)
    with path.open("w") as file:
        file.write("$timescale 1ns $end\n$scope module dut $end\n$var wire 1 ! clk $end\n")
        for key, port in zip(columns, ports):
            file.write(f"$var wire {port.bits} {key} {port.name} $end\n")
        file.write("$upscope $end\n$enddefinitions $end\n")
        while file.tell() < size * 0.98:
            for k in range(clocks):
                lines = [f"#{now}", "0!"]
                for key, column in columns.items():
                    if column[k] != last[key]:
                        last[key] = column[k]
                        lines.append(column[k] + key)
                lines += [f"#{now + 5}", "1!\n"]
                file.write("\n".join(lines))
                now += 10
            if idle:  # the first clocks are not repeated
                columns = {key: [column[-1]] * clocks for key, column in columns.items()}
    return now // 10


def measure(path):
    """Seconds and megabytes of memory that a comparison takes in a process of its own."""
    command = [sys.executable, "-m", "gradloom", "compare", "array", "--waveform", str(path)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    report = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024
    if process.returncode:
        raise SystemExit(report)
    return time.perf_counter() - begin, usage.ru_maxrss * scale / 1e6


def main():
    parser = argparse.ArgumentParser(
        description="Time and memory of `gradloom compare --waveform` on a large file."
    )
    parser.add_argument("--megabytes", type=int, default=100)
    size = parser.parse_args().megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        for name, resets, idle in [
            ("busy, with resets", True, False),
            ("busy, one run", False, False),
            ("idle", False, True),
        ]:
            path = Path(folder) / "dump.vcd"
            clocks = write(path, size, resets, idle)
            seconds, memory = measure(path)
            print(
                f"{name}: {path.stat().st_size / 1e6:.0f} MB, {clocks:,} clocks, "
                f"{seconds:.1f} s, {memory:.0f} MB of memory"
            )


if __name__ == "__main__":
    main()
