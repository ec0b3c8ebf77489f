"""Damaged waveforms: compared or refused in a line, within bounds of time and memory.

The reader is compiled code that may end the process, so another process reads them.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pywellen", reason="pywellen is not installed")

CORPUS = Path(__file__).parent / "corpus"
#: Of a bench of the LFSR below.
SEEDS = ["lfsr.vcd", "lfsr.fst"]
UNIT = ["compare", "lfsr", "--lfsr-bits", "8", "--draw", "4", "--leap", "4", "--waveform"]
#: Pieces that a VCD file may have, where it may not.
PIECES = [
    *(b"#99999999999999999999999\n", b"#0\n", b"#-1\n", b"$dumpoff $end\n", b"$dumpon $end\n"),
    *(b"$end ", b"$scope module a $end\n", b"$upscope $end\n", b"$enddefinitions $end\n"),
    *(b"$var wire 4294967295 ! x $end\n", b"$var wire 0 ! y $end\n", b"$var real 64 ! z $end\n"),
    *(b"bxxxx !\n", b"r1e999 !\n", b"sabc !\n", b"b" + b"1" * 9000 + b' "\n', b"$comment "),
    *(b"\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\r\n", b"\x80", b"1", b"!"),
]

#: Calls the command for every file of a list, one after the other, and says how each ended.
READER = """
import io, json, resource, signal, sys
from contextlib import redirect_stderr, redirect_stdout
from gradloom import cli
import gradloom.comparison.waveform_reader
unit, paths = json.loads(sys.argv[1]), sys.argv[2:]
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for path in paths:
    out, err, sys.argv = io.StringIO(), io.StringIO(), ["gradloom", *unit, path]
    signal.alarm(10)
    status = None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException as error:
        err.write(f"Traceback {type(error).__name__}: {error}")
    signal.alarm(0)
    print(json.dumps([path, status, out.getvalue(), err.getvalue()]), flush=True)
"""


def damaged(content, random):
    """A waveform after some changes: bits, bytes, lines, numbers."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(data) + 1))
        match random.integers(6):
            case 0:
                data[at:at] = PIECES[random.integers(len(PIECES))]
            case 1:
                del data[at : at + int(random.choice([1, 4, 100]))]
            case 2:
                del data[at:]
            case 3:
                data[at : at + 1] = random.bytes(1)
            case 4:
                numbers = list(re.finditer(rb"\d+", bytes(data)))
                if numbers:
                    number = numbers[random.integers(len(numbers))]
                    new = random.choice([b"0", b"1", b"4294967296", b"99999999999999999999"])
                    data[slice(*number.span())] = bytes(new)
            case _:
                data[at:at] = data[at : at + 200]
    return bytes(data)


def ends(paths):
    """How the command ended for every file."""
    done = subprocess.run(
        [sys.executable, "-c", READER, json.dumps(UNIT), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60 + 10 * len(paths),
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(paths), (paths[len(lines)], done.returncode, done.stderr[-2000:])
    return lines


def check(folder, seed, count, first=0):
    content = (CORPUS / seed).read_bytes()
    paths = []
    for number in range(first, first + count):
        path = folder / f"{number}{Path(seed).suffix}"
        path.write_bytes(damaged(content, np.random.default_rng(number)))
        paths.append(path)
    wrong = [
        (path, status, err)
        for path, status, out, err in ends(paths)
        if status not in (0, 1, 2, 3) or "Traceback" in err or "internal error" in err
        or (status >= 2 and not err.startswith("gradloom: "))
        or (status < 2 and not out)
    ]  # fmt: skip
    assert not wrong, wrong


def test_the_corpus():
    """Those that are damaged have once done harm."""
    paths = [path for path in sorted(CORPUS.iterdir()) if path.suffix in (".vcd", ".fst")]
    for path, status, out, err in ends(paths):
        good = Path(path).name in SEEDS
        assert (status == 0) == good, (path, status, out, err)
        assert good or err.startswith("gradloom: "), (path, status, out, err)


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_waveforms(seed, tmp_path):
    check(tmp_path, seed, 25)


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_many_damaged_waveforms(seed, tmp_path):
    for first in range(1000, 2000, 100):
        check(tmp_path, seed, 100, first)
