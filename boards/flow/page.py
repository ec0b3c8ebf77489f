"""A build's report as one HTML page, which loads nothing from anywhere."""

import io
import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from boards.device import NAMES, RESOURCES
from boards.flow.report import (
    cells_line,
    clock_line,
    delay_of,
    number_text,
    rate_text,
    resource_usage,
    throughput_line,
)
from golden import caches
from golden.settings import flat, text_of

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --dim: #5b6675; --line: #d9dee5; --fill: #f5f7f9;
--mark: #1f6f8b; } * { box-sizing: border-box; } body { font: 15px/1.5 system-ui, "Segoe UI",
Helvetica, Arial, sans-serif; color: var(--ink); background: #fff;
       max-width: 980px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; } h1 small { font-weight: 400; color: var(--dim); font-size: 17px;
} h2 { font-size: 18px; margin: 36px 0 6px; padding-top: 10px; border-top: 1px solid var(--line); }
p { margin: 6px 0; } .dim { color: var(--dim); } .tiles { display: flex; flex-wrap: wrap; gap: 10px;
margin: 18px 0; } .tile { background: var(--fill); border-left: 3px solid var(--mark); padding: 8px
14px; min-width: 130px; } .tile b { display: block; font-size: 21px; font-variant-numeric:
tabular-nums; } .tile span { color: var(--dim); font-size: 13px; } .wide { overflow-x: auto; } table
{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 8px 0; } th { text-align:
right; font-weight: 600; color: var(--dim); border-bottom: 1px solid var(--line); } td { text-align:
right; border-bottom: 1px solid #eef1f4; } th, td { padding: 3px 14px 3px 0; } th.l, td.l {
text-align: left; } tr.sum td { font-weight: 600; border-top: 1px solid var(--line); } code { font:
13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; } svg { max-width: 100%;
height: auto; } summary { cursor: pointer; color: var(--mark); } @media print { body { max-width:
none; } details { display: block; } }
"""
_BLUE, _ORANGE, _GREY, _GREEN = "#1f6f8b", "#d1793a", "#c8d0d9", "#5a8f4c"


def page(report: dict[str, Any]) -> str:
    """Return a report as one HTML page.

    Parameters
    ----------
    report
        The dictionary of `boards.flow.report.flow_report`, and `unit`, `parameters`, `cells`,
        `command` and `throughput`.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is missing.
    """
    target = report["target"]
    grade = f", speed grade {target['speed_grade']}" if target["speed_grade"] else ""
    body = [
        f"<h1>{escape(report['unit'])} <small>on {escape(target['device'] + grade)}</small></h1>",
        f'<p class="dim">{escape(report["estimates"])}</p>',
        f'<div class="tiles">{"".join(_tiles(report))}</div>',
        *(f"<p>{escape(line)}</p>" for line in [cells_line(report), *target["notes"]] if line),
        "<h2>Of the device</h2>",
        _svg(
            lambda axes: _plotusage(axes, report),
            height=0.42 * len(list(resource_usage(report))) + 0.6,
        ),
        _table(
            ["resource", "used", "available", "%"],
            [
                [
                    resource,
                    number_text(used),
                    number_text(there),
                    f"{used / there:.1%}" if there else "",
                ]
                for resource, used, there in resource_usage(report)
            ],
        ),
        _cells(report),
        "<h2>By part of the unit</h2>",
        '<p class="dim">After synthesis. Registers, multipliers and memories are counted where '
        "they are described; LUTs and carry cells with the register that they lead to. "
        "Multiplexers that come with a LUT are not counted.</p>",
        _svg(
            lambda axes: _plot_parts(axes, report),
            height=0.42 * len(report["synthesis"]["parts"]) + 0.8,
        ),
        _parts_table(report),
    ]
    if report["placements"]:
        body += _clock_section(report)
    if report.get("throughput"):
        rate = report["throughput"]
        body += [
            "<h2>Throughput</h2>",
            f"<p>At the best clock: {escape(throughput_line(report))}. A tile of depth K takes K "
            f"clocks; a run of tiles takes {rate['overhead_clocks']} more, for the way into the "
            "array and out of it.</p>",
            _svg(lambda axes: _plot_efficiency(axes, report), height=2.6),
        ]
    body += [
        "<h2>How it was made</h2>",
        _table(
            ["parameter", "value"],
            [[key, text_of(value)] for key, value in flat(report["parameters"]).items()],
            left=2,
        ),
        f"<p>{'<br>'.join(escape(tool) for tool in report['tools'])}</p>",
        f"<p>Command: <code>{escape(report['command'])}</code></p>",
        "<details><summary>Yosys and nextpnr commands</summary>"
        f"<p><code>{escape(report['synthesis']['command'])}</code></p>"
        + "".join(f"<p><code>{escape(each['command'])}</code></p>" for each in report["placements"])
        + "</details>",
    ]
    title = escape(f"{report['unit']} on {target['name']}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _tiles(report: dict[str, Any]) -> Iterator[str]:
    def tile(value: str, label: str) -> str:
        return f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'

    clock = report["clock_mhz"]
    if clock:
        seeds = len(report["placements"])
        yield tile(
            f"{clock['best']:.1f} MHz",
            "clock, estimated" + (f", best of {seeds} seeds" if seeds > 1 else ""),
        )
    if report.get("throughput"):
        rate = report["throughput"]
        yield tile(rate_text(rate["peak_macs_per_second"]), "peak, at that clock")
        yield tile(rate_text(rate["sustained_macs_per_second"]), f"sustained, {rate['shape']}")
    for resource, used, there in resource_usage(report):
        if used:
            yield tile(number_text(used), f"{resource}, of {number_text(there)}")


def _table(head: list[str], rows: list[list[str]], *, left: int = 1, total: bool = False) -> str:
    def row(cells: list[str], tag: str, kind: str = "") -> str:
        inside = "".join(
            f"<{tag}{' class=l' if number < left else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr{kind}>{inside}</tr>"

    lines = [row(head, "th")]
    for number, cells in enumerate(rows):
        lines.append(row(cells, "td", " class=sum" if total and number == len(rows) - 1 else ""))
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _cells(report: dict[str, Any]) -> str:
    cells = report["synthesis"]["cells"]
    rows = [[kind, number_text(number)] for kind, number in cells.items()]
    return (
        f"<details><summary>Cells by kind, after synthesis ({sum(cells.values()):,})</summary>"
        f"{_table(['cell', 'number'], rows)}</details>"
    )


def _parts_table(report: dict[str, Any]) -> str:
    rows = [
        [
            row["part"],
            str(row["instances"]),
            *(number_text(row["resources"][resource]) for resource in RESOURCES),
        ]
        for row in report["synthesis"]["parts"]
    ]
    total = report["synthesis"]["resources"]
    rows.append(["all", "", *(number_text(total[resource]) for resource in RESOURCES)])
    heads = ["part", "instances", *(NAMES[resource] for resource in RESOURCES)]
    return _table(heads, rows, total=True)


def _clock_section(report: dict[str, Any]) -> list[str]:
    placed = [each for each in report["placements"] if each["clock_mhz"] is not None]
    if not placed:
        return ["<h2>Clock</h2>", "<p>No path leads from a register to a register.</p>"]
    best = max(placed, key=lambda each: each["clock_mhz"])
    rows = [
        [
            str(each["seed"]),
            each["from"],
            each["to"],
            f"{each['clock_mhz']:.1f}",
            f"{delay_of(each, 'clk-to-q', 'logic', 'setup'):.2f}",
            f"{delay_of(each, 'routing'):.2f}",
        ]
        for each in placed
    ]
    steps = [[step["kind"], step["place"], f"{step['delay']:.2f}"] for step in best["path"]]
    asked = report["clock_mhz"]["asked"]
    return [
        "<h2>Clock</h2>",
        f"<p>Estimated: {escape(clock_line(report))}; asked for were {asked:g} MHz. Every seed is "
        "another start of the placement; the spread is the tool's, not the device's.</p>",
        _svg(lambda axes: _plot_clock(axes, report, placed), height=0.4 * len(placed) + 0.9),
        _table(
            ["seed", "slowest path: from", "to", "MHz", "logic and register ns", "wires ns"],
            rows,
            left=3,
        ),
        f"<p>The slowest path of the best seed, {best['seed']}: from "
        f"<code>{escape(best['from'])}</code> to <code>{escape(best['to'])}</code>.</p>",
        _svg(lambda axes: _plot_path(axes, best), height=1.25),
        "<details><summary>Its steps</summary>"
        f"{_table(['step', 'to', 'ns'], steps, left=2)}</details>",
    ]


def _svg(draw: Callable[[Any], None], height: float) -> str:
    """Return a figure as inline SVG that refers to nothing outside of it."""
    caches.home()  # matplotlib keeps its list of fonts there
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": draw.__qualname__ + str(draw.__code__.co_firstlineno),
        "font.family": "sans-serif",
        "font.sans-serif": ["system-ui", "Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#8a94a1",
        "text.color": "#1c2430",
        "axes.labelcolor": "#5b6675",
        "xtick.color": "#5b6675",
        "ytick.color": "#1c2430",
        "axes.axisbelow": True,
    }
    # The same figures, the same bytes: no date, and names of clips from the salt.
    with matplotlib.rc_context(settings):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, height), layout="constrained")
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    # Names of dialects are not needed inside HTML.
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    return re.sub(r"\n\s*", "\n", svg)


def _bars(axes: Any, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e8ecf0")


def _plotusage(axes: Any, report: dict[str, Any]) -> None:
    usage = [entry for entry in resource_usage(report) if entry[2]]
    shares = [100 * used / there for _, used, there in usage]
    axes.barh(range(len(usage)), [100] * len(usage), color="#eef1f4", height=0.55)
    axes.barh(range(len(usage)), shares, color=_BLUE, height=0.55)
    for row, (share, (_, used, there)) in enumerate(zip(shares, usage)):
        axes.text(
            max(share, 0) + 1, row, f"{number_text(used)} of {number_text(there)}", va="center"
        )
    _bars(axes, [resource for resource, _, _ in usage])
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the device")


def _plot_parts(axes: Any, report: dict[str, Any]) -> None:
    rows = report["synthesis"]["parts"]
    colours = {"LUT": _BLUE, "FF": _ORANGE}
    for offset, (resource, colour) in zip((-0.19, 0.19), colours.items()):
        axes.barh(
            [row + offset for row in range(len(rows))],
            [row["resources"][resource] for row in rows],
            color=colour,
            height=0.36,
            label=NAMES[resource],
        )
    _bars(axes, [f"{row['part']} ({row['instances']})" for row in rows])
    axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel("cells of all instances together")


def _plot_clock(axes: Any, report: dict[str, Any], placed: list[dict[str, Any]]) -> None:
    values = [each["clock_mhz"] for each in placed]
    axes.barh(range(len(placed)), values, color=_BLUE, height=0.5)
    for row, value in enumerate(values):
        axes.text(value, row, f" {value:.1f}", va="center")
    asked = report["clock_mhz"]["asked"]
    axes.axvline(
        asked, color=_ORANGE, linestyle="--", linewidth=1, label=f"asked for: {asked:g} MHz"
    )
    _bars(axes, [f"seed {each['seed']}" for each in placed])
    axes.set_xlim(0, 1.12 * max([*values, asked]))
    axes.set_xlabel("MHz, estimated")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.97))


def _plot_path(axes: Any, placement: dict[str, Any]) -> None:
    colours = {"clk-to-q": _GREEN, "setup": _GREEN, "logic": _BLUE, "routing": _ORANGE}
    labels = {"clk-to-q": "registers", "logic": "logic", "routing": "wires"}
    start, seen = 0.0, set()
    for step in placement["path"]:
        kind = step["kind"]
        label = labels.get(kind) if kind not in seen else None
        seen.add(kind)
        axes.barh(
            0,
            step["delay"],
            left=start,
            color=colours.get(kind, _GREY),
            height=0.5,
            label=label,
            edgecolor="white",
            linewidth=0.6,
        )
        start += step["delay"]
    _bars(axes, [""])
    axes.set_xlabel(f"ns, {start:.2f} in all")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.95), ncols=3)


def _plot_efficiency(axes: Any, report: dict[str, Any]) -> None:
    for curve, colour in zip(report["throughput"]["curves"], (_BLUE, _ORANGE, _GREEN)):
        tiles = curve["tiles"]
        axes.plot(
            curve["depth"],
            [100 * value for value in curve["efficiency"]],
            color=colour,
            label=f"{tiles} tile{'s' if tiles > 1 else ''}",
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(report["throughput"]["curves"][0]["depth"])
    axes.get_xaxis().set_major_formatter(lambda value, position: f"{value:g}")
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    axes.set_xlabel("depth K of a tile")
    axes.set_ylabel("% of the peak")
    axes.grid(color="#e8ecf0")
    axes.legend(frameon=False, loc="lower right")
