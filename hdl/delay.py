"""Registers in a row: a value some clocks later."""

from amaranth.hdl import Module, Signal, Value


def late(m: Module, value: Value, name: str, clocks: int = 1, *, reset_less: bool = True) -> Value:
    """`value`, `clocks` clocks later, through registers called `name`."""
    for _ in range(clocks):
        register = Signal(Value.cast(value).shape(), name=name, reset_less=reset_less)
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
