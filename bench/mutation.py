"""The mutants of every unit and what finds them: the table of docs/verification.md.

python bench/mutation.py [--mutants 500] [--seed 1] [--workers 2] [--only rounder]
"""

import argparse
import sys

from gradloom.cli.base import defaults
from gradloom.cli.mutate import HEADINGS, options, row
from gradloom.mutate import Report, mutate
from gradloom.units import UNITS

#: Units and what differs from `gradloom mutate`'s defaults, with a name for the table.
CASES = (
    ("lfsr", "lfsr, 2 lanes", {"lanes": 2}),
    ("bank", "bank, 3 lanes", {"groups": "1,2"}),
    ("rounder", "rounder", {}),
    (
        "rounder",
        "rounder, 4 conversions, 2 lanes",
        {
            "width": 24,
            "lanes": 2,
            "conversions": (
                "12:2,6:stochastic",
                "12:4,8:nearest-even",
                "12:2,8:nearest-away",
                "4:4,6:nearest-down",
            ),
        },
    ),
    ("rounder", "rounder, with what saturates", {"saturated": True}),
    ("macc", "macc, 4 x 4 bits", {}),
    ("macc", "macc, ternary", {"ternary": True, "a": "2,4", "b": None}),
    ("array", "array, 4 x 4", {}),
    ("array", "array, 6 x 4, raw", {"rows": 6, "raw": True}),
    ("array", "array, 4 x 6, mixed", {"columns": 6, "multipliers": "2,3", "ternary_depth": 15}),
    ("wage-weight", "wage-weight, 2 lanes", {"lanes": 2}),
    ("wage-weight", "wage-weight, 8 to 4 bits", {"bits": 4}),
    ("wage-activation", "wage-activation", {}),
    ("wage-shift", "wage-shift", {}),
    ("wage-shift", "wage-shift, 16 bits, 4 lanes", {"width": 16, "lanes": 4}),
    ("wage-error", "wage-error", {}),
    ("wage-error", "wage-error, stochastic", {"rounding": "stochastic"}),
    ("wage-update", "wage-update, 16 bits", {}),
    ("wage-update", "wage-update, 12 bits, half", {"width": 12, "half": True}),
    ("pool", "pool", {}),
    ("pool", "pool, 8 bits, 3 lanes", {"width": 8, "most_places": 4, "lanes": 3}),
    ("unpool", "unpool", {}),
    ("unpool", "unpool, saturated, 8 bits, 3 lanes", {"width": 8, "saturate": True, "lanes": 3}),
    ("threshold", "threshold, 7 bits, 2 lanes", {}),
    ("sign", "sign, 2 lanes", {"lanes": 2}),
    ("mask", "mask", {}),
    ("output-error", "output-error, 4 lanes", {"lanes": 4}),
    ("grid-update", "grid-update, 8 bits", {}),
    (
        "grid-update",
        "grid-update, BinaryConnect, drawn",
        {"rule": "bc", "binary": True, "grid": 0, "drawn": True, "rate_bits": 0},
    ),
    ("grid-update", "grid-update, biases", {"rule": "fine", "grid": 0}),
    ("momentum-update", "momentum-update, 8 bits", {}),
    (
        "momentum-update",
        "momentum-update, 20 bits, a power of two",
        {"width": 20, "fraction": 12, "power": True, "momentum_bits": 0, "decay_bits": 0},
    ),
    ("softmax", "softmax, 3 classes", {}),
    ("banks", "banks, 2 of 11 words", {}),
    ("row-store", "row-store, 11 rows", {}),
    ("product-nest", "product-nest", {}),
    ("product-nest", "product-nest without clips", {"clips": False}),
    ("pass-nest", "pass-nest, 3 banks", {}),
    ("pass-nest", "pass-nest, 8 banks", {"banks": 8, "s_bits": 6, "k_bits": 5, "address_bits": 4}),
    ("move-nest", "move-nest, 3 banks", {}),
    ("operand-stream", "operand-stream, 6 lanes of 7 banks", {}),
    ("operand-stream", "operand-stream, 8 banks, one store", {"banks": 8, "lanes": 8, "stores": 1}),
)


def configured(name: str, changes: dict) -> object:
    """The configuration that the command line would make."""
    unit = UNITS[name]
    own = options(unit)
    values = defaults(own)
    for option in own:
        if option.name in changes:
            values[option.name] = option.type_cast_value(None, changes[option.name])
    return unit.configure(**values)


def line(cells: list[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, then every mutant that no testbench finds and that is not equivalent."""
    parser = argparse.ArgumentParser(description="The mutants of every unit and what finds them.")
    parser.add_argument("--mutants", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--only", help="Part of a case's name.")
    given = parser.parse_args()
    print(line([*HEADINGS, "%"]))
    print(line(["---", *["---:"] * len(HEADINGS)]))
    reports: list[tuple[str, Report]] = []
    for name, title, changes in CASES:
        if given.only and given.only not in title:
            continue
        report = mutate(
            UNITS[name],
            configured(name, changes),
            count=given.mutants,
            seed=given.seed,
            patience=given.timeout,
            workers=given.workers,
            listener=lambda number, text, title=title: print(f"{title}: {text}", file=sys.stderr),
        )
        reports.append((title, report))
        print(line([title, *row(report)[1:], f"{100 * report.rate:.1f}"]), flush=True)
    if reports:
        print(f"\nYosys: {reports[0][1].yosys}; seed {given.seed}")
    for title, report in reports:
        for mutant in report.mutants:
            if mutant.fate not in ("testbench", "equivalent"):
                print(
                    f"{title}: {mutant.fate} {mutant.clock or ''} {mutant.why}: {mutant.mutation}"
                )


if __name__ == "__main__":
    main()
