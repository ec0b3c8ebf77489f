"""A blink code on one LED: as many flashes as the number says, then a pause."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.trainer.blink_twin import FLASHES, PAUSE, BlinkConfig


class Blink(wiring.Component):
    """Flashes an LED as often as a number says, pauses, and begins again.

    Parameters
    ----------
    config
        Clocks of a flash.

    Members
    -------
    number : In(4)
        Flashes of the next round; it is looked at in the round's first clock.
    led : Out(1)
        The LED.
    """

    number: Signal
    led: Signal

    def __init__(self, config: BlinkConfig):
        self.config = config
        super().__init__({"number": In(4), "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clocks = self.config.clocks
        clock, slot = Signal(range(clocks)), Signal(range(2 * FLASHES + PAUSE))
        flashes = Signal(range(FLASHES + 1))
        m.d.sync += self.led.eq(~slot[0] & ((slot >> 1) < flashes))
        with m.If((clock == 0) & (slot == 0)):
            m.d.sync += flashes.eq(self.number)
        with m.If(clock != clocks - 1):
            m.d.sync += clock.eq(clock + 1)
        with m.Else():
            m.d.sync += [clock.eq(0), slot.eq(slot + 1)]
            with m.If(slot == (flashes << 1) + (PAUSE - 1)):
                m.d.sync += slot.eq(0)
        return m
