"""Proofs by Yosys alone: its `sat` command, and the MiniSat in it.

A bench and the Verilog of the unit are read together and flattened. Three calls decide a property:
from the values that registers have when a device is configured, from a reset in any state, and from
any state at all; then a call a case that must be reachable. An attempt that runs out of time is
killed, for Yosys in WebAssembly has no clock; the others go on.
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
class Question:
    """One call of `sat`: `arguments`, and whether a model is what is hoped for."""

    number: int
    kind: str
    arguments: str
    cone: str
    wants_model: bool = False


@dataclass
class Answer:
    """What became of a property.

    Parameters
    ----------
    verdict
        "proved" for all time, "bounded" to the clocks that its method has, "failed", "vacuous" (a
        case is out of reach), or "undecided".
    seconds
        Taken by all of its calls.
    why
        More, in words.
    vcd
        Of a failed one, the counterexample's waveform.
    start
        What the counterexample starts from.
    """

    verdict: Verdict
    seconds: float
    why: str = ""
    vcd: str = ""
    start: str = ""


def questions(number: int, prop: Property) -> list[Question]:
    """The calls that decide a property."""
    holds = f"-prove holds_{number} 1 -set assumed 1"
    cone = f"holds_{number}"
    method = prop.method
    steps = method.steps if isinstance(method, Induction) else method.clocks
    asked = [
        Question(number, "power-up", f"-seq {max(steps, 1)} {holds}", cone),
        Question(
            number,
            "reset",
            f"-seq {max(steps, 1) + 1} -prove-skip 1 -set-at 1 rst 1 {holds}",
            cone,
        ),
    ]
    if isinstance(method, AnyState):
        asked.append(
            Question(number, "any state", f"-seq {steps + 1} -prove-skip {steps} {holds}", cone)
        )
    elif isinstance(method, Induction):
        asked.append(
            Question(
                number,
                "induction",
                f"-tempinduct -tempinduct-inductonly -initsteps {steps - 1} -maxsteps {steps} "
                f"{holds}",
                cone,
            )
        )
    for case in range(len(prop.covers)):
        asked.append(
            Question(
                number,
                f"cover {case}",
                f"-seq {prop.within} -set assumed 1 -set-at {prop.within} cover_{number}_{case} 1",
                f"cover_{number}_{case}",
                wants_model=True,
            )
        )
    return asked


def search(number: int, prop: Property) -> Question:
    """The call that looks for a counterexample further from the start."""
    clocks = 2 * prop.within + 16
    return Question(
        number,
        "power-up",
        f"-tempinduct -tempinduct-baseonly -maxsteps {clocks} -prove holds_{number} 1 "
        "-set assumed 1",
        f"holds_{number}",
    )


def script(bench: Bench, asked: list[Question]) -> str:
    """What Yosys is to do."""
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
        # Registers of equal inputs are not merged here: they may begin with different values.
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
    for position, question in enumerate(asked):
        state = "declared" if question.kind == "power-up" or question.wants_model else "any"
        dump = ""
        if not question.wants_model and question.kind != "induction":
            dump = f"-dump_vcd {position}.vcd -show-ports -show-regs"
        lines += [
            f"design -load {state}",
            "cd bench",
            f"select -set cone w:{question.cone} w:assumed %u %ci*",
            f"log @begin {position}",
            f"sat {question.arguments} {dump} @cone",
            f"log @end {position}",
            "cd",
        ]
    return "\n".join(lines) + "\n"


#: The last words of `sat` on what it was asked.
_SAID = {
    "SAT proof finished - no model found: SUCCESS!": "holds",
    "SAT proof finished - model found: FAIL!": "model",
    "SAT solving finished - model found:": "model",
    "SAT solving finished - no model found.": "none",
    "Reached maximum number of time steps -> proved base case for N steps: SUCCESS!": "holds",
    "SAT temporal induction proof finished - model found for base case: FAIL!": "model",
    "Induction step proven: SUCCESS!": "holds",
    "Reached maximum number of time steps -> proof failed.": "open",
}
#: What it prints instead of the above.
_TROUBLE = re.compile(r"^(ERROR: .*|.*: ERROR: .*)$")


@dataclass
class _Reply:
    said: str = "none said"  # one of _SAID's values, "time", "error"
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
        The unit as its user gets it.
    bench
        What is to hold.
    patience
        Seconds that one call may take.
    say
        Told the property that is being decided.
    only
        Name of one property, if not all.

    Raises
    ------
    FlowError
        There is no Yosys, or it failed.
    """
    text = _connected(bench.text, bench.module, verilog)

    def ask(asked: list[Question]) -> list[tuple[Question, _Reply]]:
        replies: list[tuple[Question, _Reply]] = []
        # A call that runs out of time takes Yosys with it.
        while left := asked[len(replies) :]:
            with tempfile.TemporaryDirectory(prefix="gradloom-prove-") as name:
                folder = Path(name)
                (folder / "unit.v").write_text(verilog)
                (folder / "bench.il").write_text(text)
                (folder / "prove.ys").write_text(script(bench, left))
                replies += zip(left, _run(folder, left, bench, patience, say))
        return replies

    chosen = [
        (number, prop)
        for number, prop in enumerate(bench.properties)
        if only is None or prop.name == only
    ]
    replies = ask([question for number, prop in chosen for question in questions(number, prop)])
    # Where an induction does not close, there may be a fault that takes longer to show.
    still_open = [question.number for question, reply in replies if reply.said == "open"]
    replies += ask([search(number, bench.properties[number]) for number in still_open])
    answers = []
    for number, prop in chosen:
        own = [(question, reply) for question, reply in replies if question.number == number]
        answers.append((prop, _verdict(prop, own, patience)))
    return answers


def _connected(rtlil: str, module: str, verilog: str) -> str:
    """The bench without connections to ports that the module in `verilog` does not have: a part of
    a unit is written without those that it has no use for.
    """
    head = re.search(rf"^module {module}\s*(?:#\(.*?\)\s*)?\((.*?)\);", verilog, re.M | re.S)
    if not head:
        raise ValueError(f"there is no module {module} in the Verilog")
    # Of `output reg [3:0] o_data = 4'h0` the name is the last word before a first value.
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
    asked: list[Question],
    bench: Bench,
    patience: float,
    say: Callable[[str], None],
) -> list[_Reply]:
    """Return Yosys's replies: fewer than `asked` if one ran out of time, and that is the last."""
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
            prop = bench.properties[asked[current].number]
            say(f"{prop.name}: {asked[current].kind}")
            limit.set(patience)
        elif line.startswith("@end ") and current is not None:
            limit.set(None)
            replies[current].seconds = time.perf_counter() - began
            dumped = folder / f"{current}.vcd"
            if dumped.exists():
                replies[current].vcd = dumped.read_text()
            current = None
        elif current is not None:
            said = re.sub(r"for \d+ steps", "for N steps", line.strip())
            replies[current].said = _SAID.get(said, replies[current].said)

    try:
        run(find_tool("yosys"), ["prove.ys"], folder, listen, limit)
    except TimeoutError:
        if current is not None:
            replies[current] = _Reply("time", patience)
    return replies


def _verdict(prop: Property, replies: list[tuple[Question, _Reply]], patience: float) -> Answer:
    """The answer that the replies to a property's questions give together."""
    seconds = sum(reply.seconds for _, reply in replies)
    for question, reply in replies:
        if question.wants_model or reply.said != "model":
            continue
        return Answer("failed", seconds, vcd=reply.vcd, start=question.kind)
    late = [question.kind for question, reply in replies if reply.said == "time"]
    if late:
        return Answer("undecided", seconds, f"{', '.join(late)}: more than {patience:g} s")
    if any(reply.said == "open" for _, reply in replies):
        return Answer("undecided", seconds, f"{prop.method} is too short")
    out = [
        prop.covers[int(question.kind.split()[1])]
        for question, reply in replies
        if question.wants_model and reply.said != "model"
    ]
    if out:
        return Answer("vacuous", seconds, f"never reached: {', '.join(out)}")
    if any(reply.said == "none said" for _, reply in replies):
        raise FlowError("yosys did not say what came of a proof: this version says it otherwise")
    return Answer("bounded" if isinstance(prop.method, Bounded) else "proved", seconds)
