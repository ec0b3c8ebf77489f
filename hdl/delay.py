"""Registers in a row: a value some clocks later."""

from typing import Any

from amaranth.hdl import Module, Signal, Value

#: Attributes of a register that tools must not merge with another of the same value.
APART: dict[str, Any] = {"keep": 1}


def late(
    m: Module,
    value: Value,
    name: str,
    clocks: int = 1,
    *,
    reset_less: bool = True,
    apart: bool = False,
) -> Value:
    """`value`, `clocks` clocks later, through registers called `name`."""
    for _ in range(clocks):
        register = Signal(
            Value.cast(value).shape(),
            name=name,
            reset_less=reset_less,
            attrs=APART if apart else {},
        )
        m.d.sync += register.eq(value)
        value = register
    return value


def delayed(
    m: Module, value: Value, clocks: int, name: str, *, reset_less: bool = True
) -> list[Value]:
    """`value`, and it 1, 2, ... `clocks` clocks later; the registers are called `name`_1 and on."""
    chain = [value]
    for clock in range(clocks):
        chain.append(late(m, chain[-1], f"{name}_{clock + 1}", reset_less=reset_less))
    return chain


def copies(
    m: Module,
    value: Value,
    name: str,
    count: int,
    *,
    apart: bool,
    clocks: int = 1,
    reset_less: bool = True,
) -> list[Value]:
    """`value`, `clocks` clocks later, for `count` users: through one row of registers, or through
    one for each of them if they are to stay `apart`.
    """
    if not apart:
        return [late(m, value, name, clocks, reset_less=reset_less)] * count
    return [
        late(m, value, f"{name}_{number}", clocks, reset_less=reset_less, apart=True)
        for number in range(count)
    ]
