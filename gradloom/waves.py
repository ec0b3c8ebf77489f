"""Waveforms of a difference: a window around it, and a save file with which GTKWave opens there."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vcd import VCDWriter
from vcd.gtkw import GTKWColor, GTKWSave
from vcd.reader import TokenKind, tokenize

from golden.fixed import Codes
from golden.port import Port
from golden.twin import Trace
from gradloom.simulators import PERIOD, Pysim, Simulation

#: Clocks of a waveform file before and after the difference.
_BEFORE, _AFTER = 200, 20
#: The last clock for which a run is repeated to see inside the unit.
_LAST_INTERNAL = 4000
#: Clocks shown before the marker when GTKWave opens.
_VIEW_BEFORE = 12
#: GTKWave's zoom, the binary logarithm of pixels a time unit: 40 pixels a clock, about 30 clocks on
#: a screen.
_ZOOM = 2
#: Time units a nanosecond in Amaranth's own waveform files, as an exponent of 2 (about) and
#: exactly.
_FEMTO_ZOOM, _FEMTO = 20, 1_000_000


def write(
    path: Path,
    simulation: Simulation,
    stimulus: Trace,
    got: Trace,
    expected: Trace,
    first: tuple[Port, int],
) -> list[Path]:
    """Write what shows the difference at `first` (port and clock) into a folder or a .vcd file.

    Where the difference comes early, the run is repeated to see inside the unit as well.

    Returns
    -------
    The files written.
    """
    component = simulation.component
    if path.suffix != ".vcd":
        path = path / f"{type(component).__name__.lower()}.vcd"
    path.parent.mkdir(parents=True, exist_ok=True)
    port, clock = first
    span = range(max(clock - _BEFORE, 0), min(clock + _AFTER + 1, len(stimulus["rst"])))
    files = write_window(
        path,
        span,
        [(entry, stimulus[entry.name]) for entry in simulation.inputs],
        [(entry, got[entry.name], expected[entry.name]) for entry in simulation.outputs],
        first,
    )
    if clock <= _LAST_INTERNAL:
        inside = path.with_name(f"{path.stem}-internal.vcd")
        early = {name: values[: span.stop] for name, values in stimulus.items()}
        Pysim(component, inside).run(early)
        files += [inside, write_save_of_unit(inside, port, clock)]
    return files


def _variables(port: Port) -> list[tuple[str, int | None]]:
    """Names in the file and lanes of `port`."""
    if port.lanes is None:
        return [(port.name, None)]
    # The backslash makes it one name; without it, readers take [3] for bit 3 of something.
    return [(f"\\{port.name}[{lane}]", lane) for lane in range(port.lanes)]


def _column(values: Codes, lane: int | None) -> Codes:
    return values if lane is None else values[:, lane]


def write_window(
    path: Path,
    span: range,
    inputs: Sequence[tuple[Port, Codes]],
    outputs: Sequence[tuple[Port, Codes, Codes]],
    first: tuple[Port, int],
) -> list[Path]:
    """Write a VCD file of the clocks in `span`, and a save file beside it.

    Parameters
    ----------
    path
        The VCD file.
    span
        Clocks to be written; entry t is shown from t periods on, the rising edge that ends it comes
        a period later.
    inputs
        Each input port and its values over the whole run.
    outputs
        Each output port, its values and the expected ones over the whole run.
    first
        Port and clock of the difference.

    Returns
    -------
    The files written.
    """
    begin, end = span.start * PERIOD, span.stop * PERIOD
    clocks = slice(span.start, span.stop)
    with (
        path.open("w") as file,
        VCDWriter(file, timescale="1 ns", date="", init_timestamp=begin) as writer,
    ):
        columns = []

        def declare(scope: str, port: Port, values: Codes) -> None:
            for name, lane in _variables(port):
                codes = _column(values[clocks], lane) & ((1 << port.width) - 1)
                variable = writer.register_var(scope, name, "wire", port.width, codes[0].item())
                columns.append((variable, codes.tolist()))

        clk = writer.register_var("inputs", "clk", "wire", 1, int(span.start > 0))
        for port, values in inputs:
            declare("inputs", port, values)
        differs = [False] * len(span)
        for port, got, expected in outputs:
            declare("got", port, got)
            declare("expected", port, expected)
            wrong = (got[clocks] != expected[clocks]).reshape(len(span), -1).any(axis=1).tolist()
            differs = [a or b for a, b in zip(differs, wrong)]
        marker = writer.register_var("comparison", "difference", "wire", 1, int(differs[0]))
        columns.append((marker, [int(bit) for bit in differs]))
        for i, clock in enumerate(span):
            writer.change(clk, clock * PERIOD, int(clock > 0))
            for variable, codes in columns:
                writer.change(variable, clock * PERIOD, codes[i])
            writer.change(clk, clock * PERIOD + PERIOD // 2, 0)
        writer.change(clk, end, 1)
    port, clock = first
    names = [*_listing("got", [port]), *_listing("expected", [port]), "comparison.difference"]
    ahead = len(names)
    names += ["inputs.clk", *_listing("inputs", [port for port, _ in inputs])]
    for other, _, _ in outputs:
        if other is not port:
            names += _listing("got", [other]) + _listing("expected", [other])
    return [path, _write_save(path, names, ahead, clock)]


def _listing(scope: str, ports: Sequence[Port]) -> list[str]:
    """GTKWave's names of the variables of `ports`."""
    return [
        f"{scope}.{name}" + (f"[{port.width - 1}:0]" if port.width > 1 else "")
        for port in ports
        for name, _ in _variables(port)
    ]


def write_save_of_unit(path: Path, port: Port, clock: int) -> Path:
    """A save file for a VCD file of the unit's own signals, those of `port` first."""
    names = list(_names_in_unit(path))
    # A plain port keeps its name in the unit; of a stream's port, the stream's signals are the
    # nearest.
    near = (f"{port.name}.", f"{port.name.split('_')[0]}__")
    ahead = [name for name in names if f"{_stem(name)}.".startswith(near)]
    rest = [name for name in names if name not in ahead]
    return _write_save(path, ahead + rest, len(ahead), clock, _FEMTO, _ZOOM - _FEMTO_ZOOM)


def _stem(name: str) -> str:
    return name.rsplit(".unit.", 1)[1].removeprefix("\\").split("[")[0]


def _names_in_unit(path: Path) -> Iterator[str]:
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
    """A save file beside `path`: `names` in their order, the first `ahead` of them in red."""
    save_path = path.with_suffix(".gtkw")
    with save_path.open("w") as file:
        save = GTKWSave(file)
        # Names alone: the two files can be moved together.
        save.dumpfile(path.name, abspath=False)
        save.savefile(save_path.name, abspath=False)
        save.timestart(max(clock - _VIEW_BEFORE, 0) * PERIOD * units)
        # In the middle of the clock its values stand still.
        save.zoom_markers(zoom, (clock * PERIOD + PERIOD // 2) * units)
        save.signals_width(260)
        for i, name in enumerate(names):
            if i == ahead:
                save.blank()
            color = GTKWColor.red if i < ahead else GTKWColor.normal
            save.trace(name, color=color, datafmt="signed" if "[" in name else "bin")
    return save_path
