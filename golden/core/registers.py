"""The registers of a core: one table, which hardware, drivers and documents read.

A register has 32 bits, and an address that counts words. Reads change nothing. The table is the
same for every core, but for the widths of some fields and the hash of the design.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

from golden.core.config import CoreConfig
from golden.core.field import WORD, leaves
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.register import Access, Fault, Field, Register, State
from golden.quantize import RATE_BITS
from golden.settings import shown

#: Bits of an address, which counts words.
ADDRESS = 7
#: Clocks from the one in which an address is read to the one in which its value is there.
READ_LATENCY = 4
#: Upper half of the register `id`: the letters GL.
MAGIC = 0x474C
#: Lower half of the register `id`: raised with every change of the table or of its meaning.
VERSION = 1


class Registers(Sequence[Register]):
    """The registers of a core, in the order of their addresses.

    Parameters
    ----------
    config
        The core.

    Examples
    --------
    >>> table = Registers(CoreConfig())
    >>> table.named("control").address, table.named("steps_done").address
    (4, 7)
    >>> [register.name for register in table][-2:]
    ['out_stream', 'out_fetch']
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        self._all = tuple(sorted(_registers(config), key=lambda each: each.address))
        self._named = {register.name: register for register in self._all}

    @overload
    def __getitem__(self, number: int) -> Register: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[Register, ...]: ...

    def __getitem__(self, number: int | slice) -> Register | tuple[Register, ...]:
        return self._all[number]

    def __len__(self) -> int:
        return len(self._all)

    def named(self, name: str) -> Register:
        """Return a register by its name."""
        return self._named[name]


def layers(config: CoreConfig) -> int:
    """Return the number of layers whose weights a core keeps account of."""
    return max(1, config.scalars // 2)


@lru_cache
def design_hash(config: CoreConfig) -> int:
    """Return 64 bits that tell a core from others: of its configuration and its formats.

    Two cores with the same hash carry out the same programs in the same clocks.

    Examples
    --------
    >>> f"{design_hash(CoreConfig()):016x}" != f"{design_hash(CoreConfig(rows=4)):016x}"
    True
    """
    lines = [f"registers {VERSION}"]
    lines += shown(config)
    for engine, kind in INSTRUCTIONS.items():
        lines += [
            f"{engine.name} {leaf.name} {leaf.first} {leaf.bits.width}" for leaf in leaves(kind)
        ]
    return int.from_bytes(hashlib.sha256("\n".join(lines).encode()).digest()[:8], "big")


def _whole(
    text: str, access: Access = Access.READ, *, width: int = WORD, reset: int = 0
) -> tuple[Field, ...]:
    """Return the field of a register that is one number."""
    return (Field(name="value", first=0, width=width, access=access, text=text, reset=reset),)


def _registers(config: CoreConfig) -> Iterator[Register]:
    """Yield all registers."""
    yield from _identity(config)
    yield from _control()
    yield from _faults(config)
    yield from _programs(config)
    yield from _numbers(config)
    yield from _clocks()


def _identity(config: CoreConfig) -> Iterator[Register]:
    made = design_hash(config)
    yield Register(
        name="id",
        address=0x00,
        text="What this is.",
        fields=(
            Field(
                name="version",
                first=0,
                width=16,
                access=Access.READ,
                text="Version of this table",
                reset=VERSION,
            ),
            Field(
                name="magic",
                first=16,
                width=16,
                access=Access.READ,
                text="The letters GL: a core of gradloom",
                reset=MAGIC,
            ),
        ),
    )
    for part, (name, value) in enumerate((("low", made), ("high", made >> WORD))):
        yield Register(
            name=f"design_{name}",
            address=0x01 + part,
            text="Hash of the core's configuration and of its formats, to compare with that of a "
            "program's network.",
            fields=_whole(f"The {name} half of the hash", reset=value & (1 << WORD) - 1),
        )


def _control() -> Iterator[Register]:
    bits = (
        ("start", "Begin the program; nothing happens while one runs or after a fault"),
        ("stop", "End with the last step that any engine has begun"),
        (
            "reset",
            "Soft reset: whatever runs is dropped, also a beat that the output stream offers, so "
            "reset what receives it; stores and programs stay",
        ),
        ("latch", "Keep the clock counters as they are now, to be read, and begin new ones at 0"),
    )
    yield Register(
        name="control",
        address=0x04,
        text="Commands: a 1 is carried out once. Clock 0 of a program is the second clock after "
        "the one in which `start` is written.",
        fields=tuple(
            Field(name=name, first=k, width=1, access=Access.WRITE, text=text)
            for k, (name, text) in enumerate(bits)
        ),
    )
    flags = (
        ("running", "A program runs", Access.READ),
        ("stopping", "The program ends with the last step that any engine has begun", Access.READ),
        ("fault", "A fault has stopped an engine; only a soft reset clears it", Access.READ),
        ("waits_in", "The input stream is waited for", Access.READ),
        ("waits_out", "The output stream is waited for", Access.READ),
        ("refused", "A write was refused: see the register that was written", Access.CLEAR),
    )
    yield Register(
        name="status",
        address=0x05,
        text="What the core does.",
        fields=(
            *(
                Field(name=name, first=k, width=1, access=access, text=text)
                for k, (name, text, access) in enumerate(flags)
            ),
            Field(
                name="updates",
                first=8,
                width=8,
                access=Access.READ,
                text="Updates that are complete since the last whole step, modulo 256",
            ),
        ),
    )
    yield Register(
        name="steps",
        address=0x06,
        text="Steps of the next program. Writes are refused while a program runs.",
        fields=_whole("Number of steps", Access.BOTH),
    )
    yield Register(
        name="steps_done",
        address=0x07,
        text="Whole steps since the program's start, as the vector engine has finished them; in a "
        "program without passes, as a mover has.",
        fields=_whole("Number of steps"),
    )


def _faults(config: CoreConfig) -> Iterator[Register]:
    yield Register(
        name="fault",
        address=0x08,
        text="The first fault since the last reset. Its engine begins nothing more: the chunk "
        "that runs is ended, unless the fault is in it. The others end the last step that any of "
        "them has begun, if they can.",
        fields=(
            Field(
                name="kind",
                first=0,
                width=4,
                access=Access.READ,
                text="What is wrong",
                values=Fault,
            ),
            Field(
                name="engine",
                first=8,
                width=2,
                access=Access.READ,
                text="The engine: array, vector, in, out",
            ),
        ),
    )
    yield Register(
        name="fault_instruction",
        address=0x09,
        text="Where the fault was: the instruction.",
        fields=_whole("First word of the instruction in its engine's list", width=20),
    )
    yield Register(
        name="fault_chunk",
        address=0x0A,
        text="Where the fault was: the chunk.",
        fields=_whole("Number of the chunk in the instruction, from 0", width=16),
    )
    yield Register(
        name="fault_step",
        address=0x0B,
        text="Where the fault was: the step.",
        fields=_whole("Number of the step since the program's start, from 0"),
    )
    yield Register(
        name="undefined",
        address=0x0C,
        text="Layers whose weights are neither those before nor those after a step: from the first "
        "write of an update or of a load to its last one. A soft reset in between leaves the bit "
        "set, until the layer's weights are loaded whole.",
        fields=_whole(
            "A bit for each layer, layer 1 at bit 0",
            width=layers(config),
            reset=(1 << layers(config)) - 1,
        ),
    )


def _programs(config: CoreConfig) -> Iterator[Register]:
    refused = "Writes are refused while a program runs."
    engines = ", ".join(engine.name.lower() for engine in Engine)
    yield Register(
        name="engines",
        address=0x10,
        text=f"Engines that have a list in the next program. {refused}",
        fields=_whole(f"A bit for each: {engines}", Access.BOTH, width=len(Engine)),
    )
    yield Register(
        name="program_at",
        address=0x11,
        text=f"Where the next word of a program is written. {refused}",
        fields=(
            Field(
                name="address",
                first=0,
                width=20,
                access=Access.BOTH,
                text="Address in the list; each word written adds 1",
            ),
            Field(
                name="list",
                first=24,
                width=2,
                access=Access.BOTH,
                text=f"The list: {engines}",
            ),
        ),
    )
    yield Register(
        name="program",
        address=0x12,
        text=f"A word for a list. {refused} So is a word beyond the end of its list.",
        fields=_whole("The word", Access.WRITE),
    )
    texts = (
        ("first", "First word of the program in the engine's list", 20),
        ("last", "First word of the program's last instruction", 20),
        ("total", "Chunks of the engine in a step", 16),
    )
    for part, (name, text, width) in enumerate(texts):
        for engine in Engine:
            yield Register(
                name=f"{name}_{engine.name.lower()}",
                address=0x14 + len(Engine) * part + engine,
                text=f"{text}, for the next program. {refused}"
                + ("" if name == "total" else " So is one beyond the end of the list."),
                fields=_whole(text, Access.BOTH, width=width),
            )


def _numbers(config: CoreConfig) -> Iterator[Register]:
    yield Register(
        name="rate_step",
        address=0x20,
        text="The step from which a learning rate holds that is written next.",
        fields=_whole("Number of the step since the program's start, from 0", Access.BOTH),
    )
    yield Register(
        name="rate",
        address=0x21,
        text="The learning rate. A write holds from the step `rate_step` on; it is refused if the "
        "vector engine has begun that step. One change waits at a time: a further write takes its "
        "place.",
        fields=(
            Field(
                name="value",
                first=0,
                width=RATE_BITS,
                access=Access.BOTH,
                text="log2 of the rate; reads give the one of the latest step that was begun",
                signed=True,
            ),
            Field(
                name="waits",
                first=8,
                width=1,
                access=Access.READ,
                text="A change waits for its step",
            ),
        ),
    )
    yield Register(
        name="wrong",
        address=0x22,
        text="Wrong classes that passes have counted since the program's start.",
        fields=_whole("Number of samples"),
    )
    yield Register(
        name="lane",
        address=0x24,
        text="The elementwise lane whose generator is read or set. Where the core has no such "
        "lane, 0 is read, and a write of a state is refused.",
        fields=_whole("Number of the lane, from 0", Access.BOTH, width=8),
    )
    bits = config.generator.bits
    yield Register(
        name="lane_low",
        address=0x25,
        text="State of the lane's generator. A write sets all of the state, with `lane_high` as it "
        "was written last, and adds 1 to `lane`; a state of 0 changes nothing but that. Writes are "
        "refused while a program runs.",
        fields=_whole("The low bits of the state", Access.BOTH, width=min(WORD, bits)),
    )
    yield Register(
        name="lane_high",
        address=0x26,
        text="Upper bits of a state of more than 32 bits, written before `lane_low`; else 0.",
        fields=_whole("The upper bits of the state", Access.BOTH, width=max(1, bits - WORD)),
    )
    yield Register(
        name="scalar",
        address=0x28,
        text="The scalar that is read. Of layer l, scalar 2 (l - 1) belongs to the errors, the one "
        "after it to the gradient.",
        fields=_whole("Number of the scalar, from 0", Access.BOTH, width=6),
    )
    width = config.sum_bits + 1
    for part, (name, bits) in enumerate((("low", min(WORD, width)), ("high", width - WORD))):
        yield Register(
            name=f"scalar_{name}",
            address=0x29 + part,
            text="The scalar's latest maximum.",
            fields=_whole(f"The {name} bits of the maximum", width=max(1, bits)),
        )
    yield Register(
        name="scalar_exponent",
        address=0x2B,
        text="The scalar's latest exponent.",
        fields=(
            Field(
                name="exponent",
                first=0,
                width=6,
                access=Access.READ,
                text="log2 of the scale",
            ),
            Field(
                name="zero",
                first=8,
                width=1,
                access=Access.READ,
                text="The maximum is 0, so that there is no scale",
            ),
        ),
    )


def _clocks() -> Iterator[Register]:
    for engine in Engine:
        name = engine.name.lower()
        for state in State:
            yield Register(
                name=f"{name}_{state.name.lower()}",
                address=0x40 + len(State) * engine + state,
                text=f"Clocks of the engine `{name}` between the last two times at which the "
                "counters were latched, or since the program's start.",
                fields=_whole(f"Clocks in which {state.text[0].lower()}{state.text[1:]}"),
            )
