"""Writes waveform files of a difference, and save files that open GTKWave at the difference."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from vcd import VCDWriter
from vcd.gtkw import GTKWColor, GTKWSave
from vcd.reader import TokenKind, tokenize

from golden.files import replaced
from golden.fixed import Codes
from golden.port import Port
from golden.twin import Trace
from gradloom.comparison.report import Window
from gradloom.sim.pysim import PERIOD, CellsError, Pysim
from gradloom.sim.simulation import Simulation

#: Number of clocks in a waveform file before and after the difference.
BEFORE, AFTER = 200, 20
#: The last clock of a difference for which the run is repeated to record the unit's own signals.
_LAST_INTERNAL = 4000
#: Largest number of clocks that are repeated.
MOST_EARLY = _LAST_INTERNAL + AFTER + 1
#: Number of clocks shown before the marker when GTKWave opens.
_VIEW_BEFORE = 12
#: GTKWave's zoom, the binary logarithm of pixels per time unit: 40 pixels per clock, which is about
#: 30 clocks on a screen.
_ZOOM = 2
#: Time units per nanosecond in Amaranth's own waveform files, as an exponent of 2 (about) and
#: exactly.
_FEMTO_ZOOM, _FEMTO = 20, 1_000_000


def write(
    path: Path, simulation: Simulation, window: Window, first: tuple[Port, int], early: Trace
) -> list[Path]:
    """Write waveforms of the difference at `first` into a folder or a .vcd file.

    If the difference is early in the run, the run is repeated to record the unit's own signals too.

    Parameters
    ----------
    path
        The folder or the file.
    simulation
        The simulation of the component.
    window
        The clocks around the difference.
    first
        Port and clock of the difference.
    early
        Inputs of the first `MOST_EARLY` clocks, by port: one row per clock.

    Returns
    -------
    list of Path
        The files written.
    """
    component = simulation.component
    if path.suffix != ".vcd":
        path = path / f"{type(component).__name__.lower()}.vcd"
    path.parent.mkdir(parents=True, exist_ok=True)
    port, clock = first
    files = write_window(path, simulation, window, first)
    if clock <= _LAST_INTERNAL:
        inside = path.with_name(f"{path.stem}-internal.vcd")
        with suppress(CellsError):  # a device's own cells: the signals at its ports must do
            with replaced(inside) as temporary:
                inputs = {name: values[: window.stop] for name, values in early.items()}
                Pysim(component, temporary).run(inputs)
            files += [inside, write_save_of_unit(inside, port, clock)]
    return files


def _variables(port: Port) -> list[tuple[str, int | None]]:
    """Return pairs of a name in the file and a lane of `port`."""
    if port.lanes is None:
        return [(port.name, None)]
    # The backslash makes it one name. Without it, readers take [3] for bit 3 of a vector.
    return [(f"\\{port.name}[{lane}]", lane) for lane in range(port.lanes)]


def _column(values: Codes, lane: int | None) -> Codes:
    """Return the values of one lane, or of a scalar. Shape (clocks,)."""
    return values if lane is None else values[:, lane]


def write_window(
    path: Path, simulation: Simulation, window: Window, first: tuple[Port, int]
) -> list[Path]:
    """Write a VCD file of a window, and a save file beside it; `first` is port and clock of the
    difference.

    The values of clock t begin at t periods; the rising edge that ends clock t is a period later.
    """
    start, stop = window.start, window.stop
    with (
        replaced(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        VCDWriter(file, timescale="1 ns", date="", init_timestamp=start * PERIOD) as writer,
    ):
        columns = []

        def declare(scope: str, port: Port, values: Codes) -> None:
            for name, lane in _variables(port):
                codes = _column(values, lane) & ((1 << port.width) - 1)
                variable = writer.register_var(scope, name, "wire", port.width, codes[0].item())
                columns.append((variable, codes.tolist()))

        clk = writer.register_var("inputs", "clk", "wire", 1, int(start > 0))
        for port in simulation.inputs:
            declare("inputs", port, window.stimulus[port.name])
        differs = np.zeros(stop - start, bool)
        for port in simulation.outputs:
            got, expected = window.got[port.name], window.expected[port.name]
            declare("got", port, got)
            declare("expected", port, expected)
            differs |= (got != expected).reshape(len(differs), -1).any(axis=1)
        marker = writer.register_var("comparison", "difference", "wire", 1, int(differs[0]))
        columns.append((marker, differs.astype(int).tolist()))
        for i, clock in enumerate(range(start, stop)):
            writer.change(clk, clock * PERIOD, int(clock > 0))
            for variable, codes in columns:
                writer.change(variable, clock * PERIOD, codes[i])
            writer.change(clk, clock * PERIOD + PERIOD // 2, 0)
        writer.change(clk, stop * PERIOD, 1)
    port, clock = first
    names = [*_listing("got", [port]), *_listing("expected", [port]), "comparison.difference"]
    ahead = len(names)
    names += ["inputs.clk", *_listing("inputs", simulation.inputs)]
    for other in simulation.outputs:
        if other is not port:
            names += _listing("got", [other]) + _listing("expected", [other])
    return [path, _write_save(path, names, ahead, clock)]


def _listing(scope: str, ports: Sequence[Port]) -> list[str]:
    """Return GTKWave's names of the variables of `ports`."""
    return [
        f"{scope}.{name}" + (f"[{port.width - 1}:0]" if port.width > 1 else "")
        for port in ports
        for name, _ in _variables(port)
    ]


def write_save_of_unit(path: Path, port: Port, clock: int) -> Path:
    """Write a save file for a VCD file of the unit's own signals, those of `port` first."""
    names = list(_names_in_unit(path))
    # A plain port has the same name in the unit. The nearest to a stream's port are the signals of
    # the stream.
    near = (f"{port.name}.", f"{port.name.split('_')[0]}__")
    ahead = [name for name in names if f"{_stem(name)}.".startswith(near)]
    rest = [name for name in names if name not in ahead]
    return _write_save(path, ahead + rest, len(ahead), clock, _FEMTO, _ZOOM - _FEMTO_ZOOM)


def _stem(name: str) -> str:
    """Return the name of a signal in the unit, without its path and range."""
    return name.rsplit(".unit.", 1)[1].removeprefix("\\").split("[")[0]


def _names_in_unit(path: Path) -> Iterator[str]:
    """Yield GTKWave's names of the unit's own signals in a VCD file."""
    scopes: list[str] = []
    with path.open("rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scopes.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scopes.pop()
                case TokenKind.VAR if scopes and scopes[-1] == "unit":
                    name, size = token.var.ref_str, token.var.size
                    escape = "\\" if re.search(r"[.[]", name) else ""  # the reader drops it
                    bits = f"[{size - 1}:0]" if size > 1 else ""
                    yield f"{'.'.join(scopes)}.{escape}{name}{bits}"
                case TokenKind.ENDDEFINITIONS:
                    return


def _write_save(
    path: Path, names: Sequence[str], ahead: int, clock: int, units: int = 1, zoom: float = _ZOOM
) -> Path:
    """Write a save file beside `path`: `names` in this order, the first `ahead` of them in red."""
    save_path = path.with_suffix(".gtkw")
    with replaced(save_path) as temporary, temporary.open("w", encoding="utf-8") as file:
        save = GTKWSave(file)
        # Names without folders: the two files can be moved together.
        save.dumpfile(path.name, abspath=False)
        save.savefile(save_path.name, abspath=False)
        save.timestart(max(clock - _VIEW_BEFORE, 0) * PERIOD * units)
        # In the middle of the clock, its values are stable.
        save.zoom_markers(zoom, (clock * PERIOD + PERIOD // 2) * units)
        save.signals_width(260)
        for i, name in enumerate(names):
            if i == ahead:
                save.blank()
            color = GTKWColor.red if i < ahead else GTKWColor.normal
            save.trace(name, color=color, datafmt="signed" if "[" in name else "bin")
    return save_path
