"""What every unit takes of an ECP5 and an iCE40, and its clock: the tables of the units' pages.

Units have the command line's defaults, the array 2 x 2 nodes. Needs the extra `fpga`; with a file
name it writes the figures there as well, as docs/units/resources.json wants them:

    python bench/resources.py docs/units/resources.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from boards.flow.tools import FlowError
from boards.target import find
from gradloom.fpga import build
from gradloom.units import UNITS, Unit

TARGETS = ("ecp5-25f", "ice40-up5k")
SEEDS = 3
SMALLER = {"array": ["--rows", "2", "--columns", "2"]}


def configuration(unit: Unit) -> Any:
    """The unit's configuration at the command line's defaults, but for what is in `SMALLER`."""
    command = click.Command(unit.name, params=list(unit.options))
    given = command.make_context(unit.name, [*SMALLER.get(unit.name, [])]).params
    return unit.configure(**given)


def main() -> None:
    measured: dict[str, Any] = {}
    tools: set[str] = set()
    for unit in UNITS.values():
        rows = []
        for name in TARGETS:
            target = find(name)
            try:
                report, _ = build(unit, configuration(unit), target, seeds=SEEDS)
            except FlowError as error:
                print(f"{unit.name}, {name}: {error}")
                continue
            tools |= set(report["tools"])
            used = {what: count for what, (count, _) in report["used"].items()}
            clock = report["clock_mhz"]
            rows.append({"device": name, **used, "MHz (estimate)": clock["median"]})
            print(f"{unit.name}, {name}: {used}, {clock['median']} MHz", flush=True)
        measured[unit.name] = rows
    measured["note"] = (
        "With the defaults of the command line, the array with 2 x 2 nodes; out of context. The "
        f"clock is nextpnr's estimate, the median of {SEEDS} seeds, at the fastest speed grade. "
        f"Tools: {', '.join(sorted(tools))}. `python bench/resources.py` makes these figures again."
    )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
