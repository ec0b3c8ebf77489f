"""Refusal of instructions that an engine cannot carry out, before they are taken."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.isa import INSTRUCTIONS, Engine, Function, Move, Opcode, Store, Target
from golden.core.register import Fault
from golden.core.registers import layers
from hdl.core.fields import layout

#: Bits of a fault's number.
FAULT = 4


class Legal(wiring.Component):
    """Whether an engine carries out an instruction, without a register.

    Parameters
    ----------
    config
        The core.
    engine
        The engine.

    Members
    -------
    instruction : In(instruction)
        The instruction.
    fault : Out(4)
        Why it is refused, as `golden.core.register.Fault`; 0 if it is not.
    """

    instruction: data.View
    fault: Signal

    def __init__(self, config: CoreConfig, engine: Engine):
        self.config = config
        self.engine = engine
        super().__init__(
            {"instruction": In(layout(INSTRUCTIONS[engine])), "fault": Out(FAULT)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        checks = {Engine.ARRAY: self._product, Engine.VECTOR: self._pass}
        wrong, beyond = checks.get(self.engine, self._move)(self.instruction)
        m.d.comb += self.fault.eq(
            Mux(
                self.instruction.opcode != Opcode.RUN,
                Fault.OPCODE,
                Mux(
                    Cat(wrong).any(),
                    Fault.FIELD,
                    Mux(Cat(beyond).any(), Fault.BOUND, Fault.NONE),
                ),
            )
        )
        return m

    def _beyond(
        self, end: Value, of: Value, names: Mapping[Target, Store] | Mapping[Store, Store]
    ) -> Value:
        """Return whether an end is beyond the store that a field names; not if it names none.

        It is compared with the words of all of them, beside the choice.
        """
        return Cat(
            (of == number) & (end > self.config.words(store)) for number, store in names.items()
        ).any()

    def _no_layer(self, layer: Value) -> Value:
        """Return whether the core has no such layer."""
        return (layer == 0) | (layer > layers(self.config))

    def _product(self, made: Any) -> tuple[list[Value], list[Value]]:
        """Return what is wrong with a product, and which bounds are beyond a store."""
        stores = {store: store for store in Store}
        sides = ((made.a_from, made.a_end), (made.b_from, made.b_end))
        wrong = [source > max(Store) for source, _ in sides]
        if not self.config.clips:
            wrong += [clip.on for clip in made.clips]
        beyond = [self._beyond(end, source, stores) for source, end in sides]
        return wrong, [*beyond, made.s_end > self.config.s_rows]

    def _pass(self, made: Any) -> tuple[list[Value], list[Value]]:
        config = self.config
        pairs = {
            Function.COPY: Target.OUT,
            Function.ACTIVATE: Target.X,
            Function.MAXIMUM: Target.NONE,
            Function.ERROR: Target.E,
            Function.UPDATE: Target.W,
            Function.CLASSIFY: Target.NONE,
        }
        right = [(made.function == one) & (made.target == other) for one, other in pairs.items()]
        banked = {Target.X: Store.X, Target.E: Store.E, Target.W: Store.W}
        wrong = [
            ~Cat(right).any(),
            made.scalar >= config.scalars,
            (made.target == Target.W) & self._no_layer(made.layer),
            (made.function == Function.UPDATE) & ~made.settle,
        ]
        beyond = [
            made.s_end > config.s_rows,
            made.k_end > config.k_rows,
            self._beyond(made.to_end, made.target, banked),
        ]
        return wrong, beyond

    def _move(self, made: Any) -> tuple[list[Value], list[Value]]:
        config = self.config
        other = Move.SAMPLES if self.engine is Engine.IN else Move.SCORES
        weights = made.move == Move.WEIGHTS
        # Counts are stored less one.
        wrong = [
            ~weights & (made.move != other),
            weights & self._no_layer(made.layer),
            made.loops[1].count != 0,
        ]
        beyond = [weights & (made.end > config.w_words)]
        if other is Move.SAMPLES:
            samples = made.move == other
            beyond += [
                samples & (made.end > config.x_words),
                samples & (made.loops[0].count >= config.labels),
            ]
        return wrong, beyond
