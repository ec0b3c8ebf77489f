"""Delay lines: a value some clocks later, through registers."""

from typing import Any

from amaranth.hdl import Module, Signal, Value

#: Attributes of a register that tools must not merge with another one of the same value.
KEEP: dict[str, Any] = {"keep": 1}


def registered(
    m: Module,
    value: Value,
    name: str,
    clocks: int = 1,
    *,
    reset_less: bool = True,
    keep: bool = False,
) -> Value:
    """Delay `value` by `clocks` clocks.

    Parameters
    ----------
    m
        Module that gets the registers.
    value
        Input of the first register.
    name
        Name of the registers.
    clocks
        Number of registers in a row.
    reset_less
        Whether reset leaves the registers alone.
    keep
        Whether the registers have the attributes `KEEP`.

    Returns
    -------
    Value
        Output of the last register; `value` itself where `clocks` is 0.
    """
    for _ in range(clocks):
        register = Signal(
            Value.cast(value).shape(),
            name=name,
            reset_less=reset_less,
            attrs=KEEP if keep else {},
        )
        m.d.sync += register.eq(value)
        value = register
    return value


def unreset(m: Module, port: Any, name: str) -> Signal:
    """Return a register that reset leaves alone, and show it at a port.

    A port's own signal has a reset. One that matters only while something else is valid does
    without: a reset that drives fewer registers reaches them sooner.

    Parameters
    ----------
    m
        Module that gets the register.
    port
        The port.
    name
        Name of the register.
    """
    value = Value.cast(port)
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.comb += value.eq(register)
    return register


def delay_line(
    m: Module, value: Value, clocks: int, name: str, *, reset_less: bool = True
) -> list[Value]:
    """Delay `value` by 0, 1, ..., `clocks` clocks.

    Parameters
    ----------
    m, value, clocks, reset_less
        See `registered`.
    name
        The registers are called `name`_1, `name`_2 and so on.

    Returns
    -------
    list of Value
        `clocks` + 1 values; entry k is `value` k clocks later.
    """
    line = [value]
    for clock in range(clocks):
        line.append(registered(m, line[-1], f"{name}_{clock + 1}", reset_less=reset_less))
    return line


def fan_out(
    m: Module,
    value: Value,
    name: str,
    count: int,
    *,
    duplicate: bool,
    clocks: int = 1,
    reset_less: bool = True,
) -> list[Value]:
    """Delay `value` by `clocks` clocks on its way to `count` loads.

    Parameters
    ----------
    m, value, name, clocks, reset_less
        See `registered`.
    count
        Number of loads.
    duplicate
        Whether each load has registers of its own, which tools must not merge; else all loads
        share one row of registers.

    Returns
    -------
    list of Value
        One value for each load.
    """
    if not duplicate:
        return [registered(m, value, name, clocks, reset_less=reset_less)] * count
    return [
        registered(m, value, f"{name}_{number}", clocks, reset_less=reset_less, keep=True)
        for number in range(count)
    ]
