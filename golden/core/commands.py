"""Instructions as plain ports: what a nest of loops takes from its list."""

from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar

from golden.core.field import members
from golden.port import Port
from golden.twin import Trace

T = TypeVar("T")


def fields_of(
    kind: Any, name: str, direction: Literal["in", "out"], lanes: int | None = None
) -> tuple[Port, ...]:
    """Return the ports of an instruction, one for each field.

    A number that is stored less one stays so.

    Parameters
    ----------
    kind
        Class of the instruction, or of a part of one.
    name, direction
        Beginning of the names; direction.
    lanes
        Number of such parts side by side; None for one.

    Examples
    --------
    >>> from golden.core.isa import Last
    >>> for port in fields_of(Last, "rows", "in"):
    ...     print(port)
    rows_loops: in unsigned(6)
    rows_lanes: in unsigned(8)
    """
    found: list[Port] = []
    for field, element, number, made in members(kind):
        path, side = f"{name}_{field}", number or lanes
        if is_dataclass(element):
            found += fields_of(element, path, direction, side)
        else:
            less = ", less 1" if made.less_one else ""
            meaning = f"{made.text[0].lower()}{made.text[1:]}{less}"
            found.append(Port(path, direction, made.width, made.signed, side, meaning))
    return tuple(found)


def commands_of(kind: Any) -> tuple[Port, ...]:
    """Return the ports by which a nest of loops gets its instructions."""
    return (
        *fields_of(kind, "commands_next", "in"),
        Port("commands_odd", "in", 1, meaning="the next instruction belongs to an odd step"),
        Port("commands_ready", "in", 1, meaning="the next instruction may be taken"),
        Port("commands_wants", "out", 1, meaning="it is taken as soon as it may be"),
        Port("commands_takes", "out", 1, meaning="it is taken, and runs from the next clock on"),
        Port("commands_free", "out", 1, meaning="the running one will begin no further chunk"),
        Port("commands_passes", "in", 1, meaning="the running one's next chunk need not wait"),
        Port("commands_continues", "out", 1, meaning="that chunk begins as soon as it may"),
        Port("commands_begins", "out", 1, meaning="that chunk is begun"),
        Port("commands_full", "out", 1, meaning="the next chunk has no room in an output queue"),
    )


def instruction_at(kind: type[T], inputs: Trace, clock: int) -> T:
    """Return the next instruction that the ports show at a clock; numbers are not checked."""

    def build(kind: Any, name: str, lane: int | None) -> Any:
        made = {}
        for field, element, number, bits in members(kind):
            path = f"{name}_{field}"

            def one(
                lane: int | None, path: str = path, element: Any = element, bits: Any = bits
            ) -> Any:
                if is_dataclass(element):
                    return build(element, path, lane)
                values = inputs[path][clock]
                return int(values if lane is None else values[lane]) + bits.less_one

            made[field] = tuple(map(one, range(number))) if number else one(lane)
        return kind(**made)

    found: T = build(kind, "commands_next", None)
    return found


def put(instruction: Any, inputs: Trace, clocks: slice) -> None:
    """Show an instruction at the ports in some clocks: the inverse of `instruction_at`."""

    def fill(part: Any, name: str, lane: int | None) -> None:
        for field, element, number, bits in members(type(part)):
            path, value = f"{name}_{field}", getattr(part, field)
            for place, each in enumerate(value) if number else [(lane, value)]:
                if is_dataclass(element):
                    fill(each, path, place)
                elif place is None:
                    inputs[path][clocks] = int(each) - bits.less_one
                else:
                    inputs[path][clocks, place] = int(each) - bits.less_one

    fill(instruction, "commands_next", None)
