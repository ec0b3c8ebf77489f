"""Proofs with Yosys's command `sat` and the solver MiniSat in it.

A bench and the Verilog of the unit are read together and flattened. Three calls of `sat` decide a
property: from the initial values of registers, from a reset in any state, and from any state or by
induction. One more call for each case checks that it is reachable. Yosys in WebAssembly has no
timer, so a call that runs out of time is killed with its process; the other calls continue in a new
one.
"""

import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boards.flow.tools import FlowError, Limit, find_tool, run
from gradloom.prove.bench import AnyState, Bench, Bounded, Induction, Property

Verdict = Literal["proved", "bounded", "failed", "vacuous", "undecided"]


@dataclass(frozen=True)
class SatCall:
    """One call of `sat`. `expects_model`: a model is the expected outcome."""

    number: int
    kind: str
    arguments: str
    cone: str
    expects_model: bool = False


@dataclass
class Answer:
    """Result for a property.

    Parameters
    ----------
    verdict
        "proved" for all clocks, "bounded" to the clocks of its method, "failed", "vacuous" (a case
        is not reachable), or "undecided".
    seconds
        Time of all calls.
    why
        Reason, as text.
    vcd
        Waveform of the counterexample, if the property failed.
    start
        State in which the counterexample starts.
    """

    verdict: Verdict
    seconds: float
    why: str = ""
    vcd: str = ""
    start: str = ""


def calls_of(number: int, prop: Property) -> list[SatCall]:
    """Return the calls that decide a property."""
    holds = f"-prove holds_{number} 1 -set assumed 1"
    cone = f"holds_{number}"
    method = prop.method
    steps = method.steps if isinstance(method, Induction) else method.clocks
    calls = [
        SatCall(number, "power-up", f"-seq {max(steps, 1)} {holds}", cone),
        SatCall(
            number,
            "reset",
            f"-seq {max(steps, 1) + 1} -prove-skip 1 -set-at 1 rst 1 {holds}",
            cone,
        ),
    ]
    if isinstance(method, AnyState):
        calls.append(
            SatCall(number, "any state", f"-seq {steps + 1} -prove-skip {steps} {holds}", cone)
        )
    elif isinstance(method, Induction):
        calls.append(
            SatCall(
                number,
                "induction",
                f"-tempinduct -tempinduct-inductonly -initsteps {steps - 1} -maxsteps {steps} "
                f"{holds}",
                cone,
            )
        )
    for case in range(len(prop.covers)):
        calls.append(
            SatCall(
                number,
                f"cover {case}",
                f"-seq {prop.within} -set assumed 1 -set-at {prop.within} cover_{number}_{case} 1",
                f"cover_{number}_{case}",
                expects_model=True,
            )
        )
    return calls


def search(number: int, prop: Property) -> SatCall:
    """Return the call that looks for a counterexample in more clocks from the start."""
    clocks = 2 * prop.within + 16
    return SatCall(
        number,
        "power-up",
        f"-tempinduct -tempinduct-baseonly -maxsteps {clocks} -prove holds_{number} 1 "
        "-set assumed 1",
        f"holds_{number}",
    )


def script(bench: Bench, calls: list[SatCall]) -> str:
    """Return Yosys's script for the calls."""
    cuts = [f"cutpoint {cells}" for cells in bench.cut]
    probes = [
        line
        for path, (signal, name) in bench.probes.items()
        for line in (f"delete -input w:{name}", f"connect -nounset -set {name} \\dut.{path}")
    ]
    lines = [
        "read_verilog unit.v",
        "read_rtlil bench.il",
        "hierarchy -check -top bench",
        "proc",
        *cuts,
        "flatten",
        "memory_collect",
        "memory_map",
        "cd bench",
        *probes,
        "cd",
        "design -save declared",
        "setattr -unset init w:*",
        "opt_expr",
        # Registers with equal inputs are not merged here, because they may start differently.
        "opt_merge t:* t:$*dff* %d",
        "opt_clean",
        "dffunmap",
        "design -save any",
        "design -load declared",
        "opt_expr",
        "opt_merge",
        "opt_clean",
        "dffunmap",
        "design -save declared",
    ]
    for position, call in enumerate(calls):
        state = "declared" if call.kind == "power-up" or call.expects_model else "any"
        dump = ""
        if not call.expects_model and call.kind != "induction":
            dump = f"-dump_vcd {position}.vcd -show-ports -show-regs"
        lines += [
            f"design -load {state}",
            "cd bench",
            f"select -set cone w:{call.cone} w:assumed %u %ci*",
            f"log @begin {position}",
            f"sat {call.arguments} {dump} @cone",
            f"log @end {position}",
            "cd",
        ]
    return "\n".join(lines) + "\n"


#: Last line of a call of `sat` to its outcome.
_OUTCOMES = {
    "SAT proof finished - no model found: SUCCESS!": "holds",
    "SAT proof finished - model found: FAIL!": "model",
    "SAT solving finished - model found:": "model",
    "SAT solving finished - no model found.": "none",
    "Reached maximum number of time steps -> proved base case for N steps: SUCCESS!": "holds",
    "SAT temporal induction proof finished - model found for base case: FAIL!": "model",
    "Induction step proven: SUCCESS!": "holds",
    "Reached maximum number of time steps -> proof failed.": "open",
}


@dataclass
class _Reply:
    outcome: str = "missing"  # a value of _OUTCOMES, or "time"
    seconds: float = 0.0
    vcd: str = ""
    text: str = ""


def decide(
    verilog: str,
    bench: Bench,
    patience: float,
    say: Callable[[str], None] = lambda text: None,
    only: str | None = None,
) -> list[tuple[Property, Answer]]:
    """Decide the properties of a bench on the module in the text `verilog`.

    Parameters
    ----------
    verilog
        Verilog of the unit.
    bench
        The module and its properties.
    patience
        Seconds for one call.
    say
        Called with a description of the present step.
    only
        Name of the only property to decide; None for all.

    Returns
    -------
    list of (Property, Answer)
        In the order of the properties.

    Raises
    ------
    FlowError
        There is no Yosys, or it failed.
    """
    text = _connected(bench.text, bench.module, verilog)

    def ask(calls: list[SatCall]) -> list[tuple[SatCall, _Reply]]:
        replies: list[tuple[SatCall, _Reply]] = []
        # A call that runs out of time ends Yosys: the calls after it need another process.
        while left := calls[len(replies) :]:
            with tempfile.TemporaryDirectory(prefix="gradloom-prove-") as name:
                folder = Path(name)
                (folder / "unit.v").write_text(verilog, "utf-8")
                (folder / "bench.il").write_text(text, "utf-8")
                (folder / "prove.ys").write_text(script(bench, left), "utf-8")
                replies += zip(left, _run(folder, left, bench, patience, say))
        return replies

    chosen = [
        (number, prop)
        for number, prop in enumerate(bench.properties)
        if only is None or prop.name == only
    ]
    replies = ask([call for number, prop in chosen for call in calls_of(number, prop)])
    # If an induction step fails, a fault may show at a later clock.
    still_open = [call.number for call, reply in replies if reply.outcome == "open"]
    replies += ask([search(number, bench.properties[number]) for number in still_open])
    answers = []
    for number, prop in chosen:
        own = [(call, reply) for call, reply in replies if call.number == number]
        answers.append((prop, _verdict(prop, own, patience)))
    return answers


def _connected(rtlil: str, module: str, verilog: str) -> str:
    """Return the bench without connections to ports that the module in `verilog` does not have:
    unread `clk` and `rst` of inner modules are removed when Verilog is written.
    """
    head = re.search(rf"^module {module}\s*(?:#\(.*?\)\s*)?\((.*?)\);", verilog, re.M | re.S)
    if not head:
        raise ValueError(f"there is no module {module} in the Verilog")
    # The name in `output reg [3:0] o_data = 4'h0` is the last word before the initial value.
    ports = {re.findall(r"\w+", port.partition("=")[0])[-1] for port in head[1].split(",")}
    lines, inside = [], False
    for line in rtlil.splitlines(keepends=True):
        if re.match(r"  cell \\\S+ \\dut$", line):
            inside = True
        elif line == "  end\n":
            inside = False
        connection = re.match(r"    connect \\(\S+) ", line)
        if not (inside and connection and connection[1] not in ports):
            lines.append(line)
    return "".join(lines)


def _run(
    folder: Path,
    calls: list[SatCall],
    bench: Bench,
    patience: float,
    say: Callable[[str], None],
) -> list[_Reply]:
    """Return Yosys's replies. If a call ran out of time, its reply is the last one."""
    replies: list[_Reply] = []
    current: int | None = None
    began = 0.0
    limit = Limit()

    def listen(line: str) -> None:
        nonlocal current, began
        if line.startswith("@begin "):
            current = int(line.split()[1])
            replies.append(_Reply())
            began = time.perf_counter()
            prop = bench.properties[calls[current].number]
            say(f"{prop.name}: {calls[current].kind}")
            limit.set(patience)
        elif line.startswith("@end ") and current is not None:
            limit.set(None)
            replies[current].seconds = time.perf_counter() - began
            dumped = folder / f"{current}.vcd"
            if dumped.exists():
                replies[current].vcd = dumped.read_text("utf-8")
            current = None
        elif current is not None:
            text = re.sub(r"for \d+ steps", "for N steps", line.strip())
            replies[current].outcome = _OUTCOMES.get(text, replies[current].outcome)

    try:
        run(find_tool("yosys"), ["prove.ys"], folder, listen, limit)
    except TimeoutError:
        if current is not None:
            replies[current] = _Reply("time", patience)
    return replies


def _verdict(prop: Property, replies: list[tuple[SatCall, _Reply]], patience: float) -> Answer:
    """Return the answer for a property from the replies to all its calls."""
    seconds = sum(reply.seconds for _, reply in replies)
    for call, reply in replies:
        if call.expects_model or reply.outcome != "model":
            continue
        return Answer("failed", seconds, vcd=reply.vcd, start=call.kind)
    late = [call.kind for call, reply in replies if reply.outcome == "time"]
    if late:
        return Answer("undecided", seconds, f"{', '.join(late)}: more than {patience:g} s")
    if any(reply.outcome == "open" for _, reply in replies):
        return Answer("undecided", seconds, f"{prop.method} is too short")
    out = [
        prop.covers[int(call.kind.split()[1])]
        for call, reply in replies
        if call.expects_model and reply.outcome != "model"
    ]
    if out:
        return Answer("vacuous", seconds, f"never reached: {', '.join(out)}")
    if any(reply.outcome == "missing" for _, reply in replies):
        raise FlowError(
            "yosys printed no result of a proof in a known form: is it another version?"
        )
    return Answer("bounded" if isinstance(prop.method, Bounded) else "proved", seconds)
