"""Descriptions of units as text: ports, latency and throughput."""

import textwrap
from collections.abc import Iterable
from typing import Any

from golden.port import CLOCK, RESET, Port


def described(ports: Iterable[Port]) -> list[tuple[str, str, str, str]]:
    """Return the table of ports, `clk` and `rst` first: name, direction, bits, description."""
    return [
        (port.name, port.direction, str(port.bits), port.text) for port in (CLOCK, RESET, *ports)
    ]


def port_table(ports: Iterable[Port], width: int | None = None) -> list[str]:
    """Return the table of ports as aligned lines, with meanings wrapped at `width` columns."""
    rows = described(ports)
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = []
    for name, direction, bits, text in rows:
        lead = f"{name:{widths[0]}}  {direction:{widths[1]}}  {bits:>{widths[2]}}  "
        first, *further = (textwrap.wrap(text, width - len(lead)) if width else [text]) or [""]
        lines += [lead + first, *(" " * len(lead) + part for part in further)]
    return lines


def timing(config: Any) -> list[str]:
    """Return latency and throughput as text."""
    return [
        f"Latency: {config.latency} clocks. {config.FIGURES['latency']}",
        f"Throughput: {config.throughput}.",
    ]
