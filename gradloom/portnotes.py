"""What each port of a unit carries, in one line."""

from collections.abc import Iterable

from gradloom.ports import Port
from gradloom.units import Unit

_STREAMS = {
    "i_valid": "an operand is offered",
    "i_ready": "the operand is taken at this clock edge, if one is offered",
    "o_valid": "a result is there; it stays, unchanged, until it is taken",
    "o_ready": "the result is taken at this clock edge, if one is there",
}
_GENERATED = {**_STREAMS, "o_valid": "always 1", "o_ready": "every generator leaps at this edge"}
_EXPONENT = {
    "exponent": "log2 of the tensor's scale, from wage-shift; read with each operand",
    "rate": "log2 of the learning rate; read with each operand",
}

#: Unit to port to meaning.
NOTES: dict[str, dict[str, str]] = {
    "lfsr": {**_GENERATED, "o_data": "random bits, a word a lane"},
    "bank": {
        "leap": "the lanes of the group leap at this clock edge",
        "lane": "number of the lane to set or to read, from 0 in the bank",
        "load": "the lane gets `load_state`, unless that is 0",
        "load_state": "the state to be loaded, in words, the low one first",
        "word": "random bits, a word a lane; always valid",
        "state": "state of the lane that was addressed 2 clocks ago, as it was 1 clock ago",
    },
    "rounder": {
        **_STREAMS,
        "i_data": "wide codes, one a lane",
        "i_choice": "number of the conversion, in the order of the parameter",
        "o_data": "rounded codes; a narrower target's are sign-extended",
    },
    "macc": {
        "a": "operand from the left",
        "b": "operand from above",
        "first": "a sum begins: follows its first operand by first_delay clocks",
        "load": "a sum ends, the shadow takes it: follows its last operand by load_delay clocks",
        "hold": "the shadow keeps its value; without hold and load it takes `above`",
        "above": "the shadow of the node above",
        "a_out": "a, a clock later, to the right",
        "b_out": "b, a clock later, downward",
        "first_out": "first, a clock later",
        "load_out": "load, a clock later",
        "hold_out": "hold, a clock later",
        "drain": "the shadow",
    },
    "array": {
        **_STREAMS,
        "i_a": "a column of A, an element a row of the array",
        "i_b": "a row of B, an element a column of the array",
        "i_last": "the tile's last operand",
        "i_choice": "how the tile is rounded: number of the conversion, read with the last operand",
        "i_multiply": "multiply in the block of multipliers; else the low bits of b are ternary",
        "o_data": "a row of the product, an element a column; the bottom row comes first",
        "o_last": "the tile's last row, row 0",
        "random": "random words, a word a column, read where the column draws",
        "draws": "the column rounds with its word at this clock",
    },
    "wage-weight": {**_STREAMS, "i_data": "stored weights", "o_data": "forward weights"},
    "wage-activation": {
        **_STREAMS,
        "i_data": "sums",
        "shift": "bits dropped from a sum; read with each operand",
        "o_data": "activations",
        "o_active": "the sum was above zero: mask of the ReLU",
        "o_unclipped": "the sum was in the range of the activations: mask of the clip",
    },
    "wage-shift": {
        **_STREAMS,
        "i_data": "values of the tensor",
        "i_keep": "the value counts; else it is taken as zero",
        "i_last": "the tensor's last vector",
        "o_maximum": "the largest magnitude of the tensor",
        "o_exponent": "log2 of it, rounded; 0 where it is 0",
        "o_zero": "the whole tensor is zero",
    },
    "wage-error": {
        **_STREAMS,
        **_EXPONENT,
        "i_data": "errors",
        "i_keep": "the error is passed on; else the result is 0",
        "zero": "the whole tensor is zero, and so are the results",
        "o_data": "quantized errors",
    },
    "wage-update": {
        **_STREAMS,
        **_EXPONENT,
        "i_weight": "stored weights",
        "i_gradient": "their gradients",
        "zero": "the whole gradient is zero: no weight moves",
        "o_weight": "updated weights",
    },
}


def note(unit: Unit, port: Port) -> str:
    """What `port` carries."""
    return NOTES.get(unit.name, {}).get(port.name, "")


def layout(port: Port) -> str:
    """How the values lie in the bits, where that is not plain."""
    sign = "signed" if port.signed else ""
    if port.lanes is None:
        return sign
    width = port.width
    bits = f"[{width}k+{width - 1}:{width}k]" if width > 1 else "k"
    where = f"element k of {port.lanes} in bit{'s' * (width > 1)} {bits}"
    return f"{sign}, {where}" if sign else where


def described(unit: Unit, ports: Iterable[Port]) -> list[tuple[str, str, str, str]]:
    """A row for every port, `clk` and `rst` first: name, direction, bits, what it carries."""
    rows = [
        ("clk", "in", "1", "everything happens at its rising edge"),
        ("rst", "in", "1", "synchronous, active high"),
    ]
    for port in ports:
        texts = [text for text in (note(unit, port), layout(port)) if text]
        rows.append((port.name, port.direction, str(port.bits), "; ".join(texts)))
    return rows
