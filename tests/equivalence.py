"""What is written equals what came in, by a proof: the registers one by one, Yosys's induction.

Amaranth's RTLIL is one circuit, the finished Verilog the other; Yosys pairs the signals that have
one name in both and proves that every pair stays equal, whatever the inputs, if all pairs are equal
now. What Yosys leaves open is looked at here: the ports are the same, every register is in a pair,
and both of a pair have the same first value.

A fault is an exception here, no assertion: pytest rewrites assertions in the tests alone, and
`python -O` drops those of other modules.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from unittest.mock import patch

from primitives import OWN, yosys

import gradloom.rtl.verilog
from gradloom.rtl.readable.parsing import plain_names
from gradloom.rtl.verilog import verilog


class NotEquivalentError(Exception):
    """The two circuits differ, or nothing could be proved of them."""


@dataclass(frozen=True)
class Tidied:
    """A unit on its way to a person's Verilog.

    Parameters
    ----------
    module
        Name of its first module.
    rtlil
        What Amaranth made.
    text
        What Yosys made of that.
    verilog
        What was made of that.
    """

    module: str
    rtlil: str
    text: str
    verilog: str


def tidied(unit, config, **made_of):
    """The unit's texts."""
    return written(unit.component(config, **made_of), unit.module)


def written(component, name):
    """The texts of a component whose module has a name."""
    seen = []
    original = gradloom.rtl.verilog._yosys

    def watched(rtlil):
        seen.append((rtlil, original(rtlil)))
        return seen[-1][1]

    with patch.object(gradloom.rtl.verilog, "_yosys", watched):
        text = verilog(component, name)
    return Tidied(name, *seen[-1], text)


def _objects(rtlil):
    """Module name to the names of its wires, memories and cells."""
    kind = r"(?:wire|memory|cell \S+)(?: (?:(?:width|size|input|output|inout|offset) \d+|signed))*"
    return {
        name: re.findall(rf"^  {kind} \\(\S+)$", body, re.M)
        for name, body in re.findall(r"^module \\(\S+)\n(.*?)^end$", rtlil, re.M | re.S)
    }


def _new_names(text):
    """Escaped name in a module of Yosys's text to the plain one that was chosen for it."""
    plain = plain_names(text)
    text = re.sub(r"\\\$auto\$verilog_backend\S+ ", "at_start", text)
    names, place = {}, 0
    for part in re.split(r"(\\\S+ )", text):
        if part.startswith("\\"):
            name = re.match(r"\w+", plain[place:])[0]
            names[part[1:-1]] = name
            place += len(name)
        else:
            place += len(part)
    return names


def _words(text):
    return re.findall(r"(?<!')\b[A-Za-z_]\w*", plain_names(text))


def _renaming(of):
    """Yosys's commands that give the circuit of RTLIL the names of the finished one.

    Only a hint for the pairing: Yosys refuses to give one name to two signals, and a pair of
    signals that are not equal is not proved.
    """
    objects, commands = _objects(of.rtlil), []
    texts = {
        re.match(r"module (\\\S+ |\w+)", text)[1].strip("\\ "): text
        for text in re.findall(r"^module .*?^endmodule$", of.text, re.M | re.S)
    }
    kept = set(re.findall(r"^module (\w+)", of.verilog, re.M))
    for module, text in texts.items():
        plain = {name: name for name in objects[module] if re.fullmatch(r"\w+", name)}
        names = plain | _new_names(text)
        if module not in kept:
            # One of several that became one: its names are those of the one that was kept.
            kind = re.sub(r"_\d+$", "", module)
            for other in kept & texts.keys():
                here, there = _words(text), _words(texts[other])
                if re.sub(r"_\d+$", "", other) == kind and len(here) == len(there):
                    same = dict(zip(here, there))
                    names = {old: same.get(new, new) for old, new in names.items()}
                    break
        pairs = [(old, new) for old, new in names.items() if old != new and old in objects[module]]
        commands.append(f"cd {module}")
        commands += [rf"rename \{old} \between_{k}" for k, (old, _) in enumerate(pairs)]
        commands += [rf"rename \between_{k} \{new}" for k, (_, new) in enumerate(pairs)]
        commands.append("cd")
    return commands


def _loaded(commands, module, name):
    """Commands that flatten a design to one module, `name`, and put it by."""
    return [
        *commands,
        "read_verilog -lib cells.v",  # a device's cells, as black boxes
        f"hierarchy -check -top {module}",
        # Memories stay whole, and are a pair where all that goes in is: the words in the beginning
        # are a parameter of theirs. Their read registers are registers like others. Those with
        # several ports to read become registers, for the order of the ports may differ.
        "proc; flatten; memory_collect; memory_nordff",
        "memory_map t:$mem_v2 r:RD_PORTS>1 %i",
        "dffunmap",
        # Yosys gives them addresses that are not known where nothing is written.
        "opt_expr -mux_undef; opt_clean; setundef -zero",
        *(
            f"setparam -set RD_CLK_POLARITY {ports}'b{'0' * ports} t:$mem_v2 r:RD_PORTS={ports} %i"
            for ports in (1, 2)
        ),
        f"rename {module} {name}",
        f"cd {name}",
        "rename -hide w:_*_",  # temporaries are numbered anew
        "rename -hide w:*._*_",
        "cd",
        f"write_json {name}.json",
        f"design -stash {name}",
    ]


def prove(of, folder):
    """Prove that the finished Verilog is the circuit that Amaranth made; the number of pairs.

    Raises
    ------
    NotEquivalentError
        It is not, or that could not be shown.
    """
    (folder / "came.il").write_text(of.rtlil)
    (folder / "wrote.v").write_text(of.verilog)
    (folder / "cells.v").write_text(OWN.replace("$finish;", ";"))
    script = [
        *_loaded(["read_rtlil came.il", *_renaming(of)], of.module, "came"),
        *_loaded(["read_verilog wrote.v"], of.module, "wrote"),
        "design -copy-from came -as came came",
        "design -copy-from wrote -as wrote wrote",
        "equiv_make came wrote pairs",
        "hierarchy -top pairs",
        "opt_merge -share_all",  # what is the same cell with the same inputs needs no proof
        "equiv_simple -undef -ignore-unknown-cells",
        "equiv_induct -undef -ignore-unknown-cells",
        "tee -o status.txt equiv_status",
    ]
    if unknown := re.search(r"'s?[bdho][0-9a-fA-F_]*[xzXZ?]", of.verilog):
        raise NotEquivalentError(f"{unknown[0]}: a value that is not known")
    (folder / "prove.ys").write_text("\n".join(script))  # too long for a command line
    try:
        yosys("script prove.ys", folder)
    except subprocess.CalledProcessError as error:
        raise NotEquivalentError(f"Yosys: {error.stderr[:2000]}") from None
    return judged(
        *(
            json.loads((folder / f"{name}.json").read_text())["modules"][name]
            for name in ("came", "wrote")
        ),
        (folder / "status.txt").read_text(),
    )


def judged(came, wrote, status):
    """The number of pairs, all of them proved, of two modules that begin in the same state."""
    found = re.search(r"Found (\d+) \$equiv cells in pairs", status)
    if not found or not int(found[1]):
        raise NotEquivalentError(f"nothing was compared:\n{status}")
    if f"Of those cells {found[1]} are proven and 0 are unproven." not in status:
        raise NotEquivalentError(status[:2000])
    ports = [
        {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()}
        for module in (came, wrote)
    ]
    if ports[0] != ports[1]:
        raise NotEquivalentError(f"ports {ports[0]} and {ports[1]}")
    shared = {
        name
        for name in came["netnames"].keys() & wrote["netnames"].keys()
        if not came["netnames"][name]["hide_name"] and not wrote["netnames"][name]["hide_name"]
    }
    firsts = []
    for module in (came, wrote):
        values = _first_values(module)
        paired = {bit for name in shared for bit in module["netnames"][name]["bits"]}
        if alone := _registers(module) - paired:
            names = [n for n, net in module["netnames"].items() if alone & set(net["bits"])]
            raise NotEquivalentError(f"registers without another: {sorted(names)[:10]}")
        firsts.append(
            {
                name: [values.get(bit, "x") for bit in module["netnames"][name]["bits"]]
                for name in shared
            }
        )
    for name in sorted(shared):
        # What began undefined may begin with 0, as words that are read from memories do.
        pairs = zip(firsts[0][name], firsts[1][name], strict=True)
        if any(pair[0] != pair[1] and pair != ("x", "0") for pair in pairs):
            raise NotEquivalentError(
                f"{name} begins with {firsts[0][name]} and with {firsts[1][name]}, low bit first"
            )
    return int(found[1])


def _registers(module):
    return {
        bit
        for cell in module["cells"].values()
        if re.fullmatch(r"\$_?(a|s|al)?(d|sd|ad|)ff.*", cell["type"].lower())
        for bit in cell["connections"]["Q"]
    }


def _first_values(module):
    """Bit to the value that it has in the beginning, where that is given."""
    values = {}
    for net in module["netnames"].values():
        text = net["attributes"].get("init", "")
        for bit, value in zip(net["bits"], reversed(text)):
            if value != "x":
                values[bit] = value
    return values
