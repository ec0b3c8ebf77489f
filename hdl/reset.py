"""A reset of its own for a part of a design, in the place of its clock domain's."""

from amaranth.hdl import Fragment, ResetInserter, Signal
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._xfrm import (  # type: ignore[attr-defined]  # a gap in the stubs
    LHSMaskCollector,
    StatementTransformer,
    ValueTransformer,
)


class OwnReset(ResetInserter):
    """Resets a part, and all that it contains, by one signal **instead of** its domain's reset.

    `ResetInserter` adds a reset to that of the domain: behind the two of them stands a gate, on the
    way to every register of the part. Amaranth has no way to drop the domain's reset but
    registers without one. So a register with a reset becomes one without, which starts with the
    same value, and the given signal resets it; the signal of its name shows it.

    Parameters
    ----------
    reset
        The reset, in domain `sync`: all registers with a reset have their initial value one clock
        after it is high. A register that includes the domain's reset is there a clock later than
        the domain's.

    Examples
    --------
    >>> from amaranth.hdl import Module, ResetSignal
    >>> from golden import LfsrConfig
    >>> from hdl import Lfsr
    >>> from hdl.delay import registered
    >>> m = Module()
    >>> late = registered(m, ResetSignal(), "late")
    >>> m.submodules.noise = OwnReset(late)(Lfsr(LfsrConfig()))
    """

    def on_fragment(self, fragment: Fragment) -> Fragment:
        """Return a copy of `fragment` whose registers are reset by the given signal alone."""
        changed = super().on_fragment(fragment)
        driven = LHSMaskCollector()
        for statement in changed.statements.get("sync", ()):
            driven.visit_stmt(statement)
        registers = SignalDict(
            (signal, Signal.like(signal, name=signal.name, reset_less=True))
            for signal, _ in driven.masks()
            if not signal.reset_less
        )
        if registers:
            changed.statements["sync"] = _Replaced(registers).on_statements(
                changed.statements["sync"]
            )
        for signal, register in registers.items():
            changed.add_statements("comb", signal.eq(register))
        return changed


class _Replaced(ValueTransformer, StatementTransformer):
    """Replaces signals in statements."""

    def __init__(self, signals: SignalDict):
        self._signals = signals

    def on_Signal(self, value: Signal) -> Signal:
        return self._signals.get(value, value)
