"""Programs as text: a listing of their instructions, and their words for $readmemh and for C."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import is_dataclass
from enum import IntEnum
from itertools import groupby

from golden.core.field import WORD, Leaf, decode, encode, leaves
from golden.core.isa import INSTRUCTIONS, Engine, Instruction
from golden.core.program import Part, Program


def listing(programs: Iterable[Program], title: str) -> str:
    """Return the programs as text: every instruction with its place, and its fields in words.

    Fields that have their default are left out. The text is made of the words, not of what the
    compiler meant.
    """
    lines = [title, ""]
    for program in programs:
        lines += [f"Program {program.name}", ""]
        for engine in Engine:
            at = 0
            for task in program[engine]:
                words = encode(task.instruction)
                chunks = len(task.chunks)
                lines.append(
                    f"{engine.name.lower()} {at}: {task.name} ({chunks} chunk{'s' * (chunks != 1)})"
                )
                kind = INSTRUCTIONS[engine]
                lines += [f"    {line}" for line in sentences(decode(kind, words))]
                lines.append("")
                at += len(words)
    return "\n".join(lines).rstrip() + "\n"


def sentences(instruction: Instruction) -> Iterator[str]:
    """Yield a line for each field that is not its default: word, bits, name, value, meaning.

    Examples
    --------
    >>> from golden.core.isa import MoveInstruction
    >>> list(sentences(MoveInstruction(end=5)))
    ['word 2 [23:4]  end = 5  (Address below which all words are)']
    """
    plain = type(instruction)()
    for leaf in leaves(type(instruction)):
        value, usual = _at(instruction, leaf), _at(plain, leaf)
        if value != usual:
            shown = value.name.lower() if isinstance(value, IntEnum) else int(value)
            about = ", ".join([*_meanings(instruction, leaf), leaf.bits.text])
            yield f"{_place(leaf)}  {leaf.name} = {shown}  ({about})"


def _at(instruction: object, leaf: Leaf) -> int:
    found: object = instruction
    for part in leaf.path:
        found = found[part] if isinstance(part, int) else getattr(found, part)  # type: ignore[index]
    assert isinstance(found, int)
    return found


def _meanings(instruction: object, leaf: Leaf) -> Iterator[str]:
    """Yield the meanings of the groups that a field is in."""
    found: object = instruction
    for part in leaf.path[:-1]:
        if isinstance(part, int):
            found = found[part]  # type: ignore[index]
            continue
        assert is_dataclass(found)
        yield found.__dataclass_fields__[part].metadata["bits"].text
        found = getattr(found, part)


def _place(leaf: Leaf) -> str:
    """Return the words and bits of a field, the high ones first."""
    first, last = leaf.first, leaf.first + leaf.bits.width - 1
    pieces = []
    for word in range(last // WORD, first // WORD - 1, -1):
        high, low = min(last - WORD * word, WORD - 1), max(first - WORD * word, 0)
        pieces.append(f"word {word} [{high}]" if high == low else f"word {word} [{high}:{low}]")
    return ", ".join(pieces)


def c_programs(listed: Sequence[Part], prefix: str, name: str) -> Iterator[str]:
    """Yield lines of C with all programs: where their lists are, and all of their words.

    Parameters
    ----------
    listed
        The lists.
    prefix
        What the macros begin with.
    name
        What the name of the words begins with.
    """
    yield "/* Programs: engines that have a list; of each list its place among all words, its"
    yield " * words, the first word of its last instruction, and its chunks of a step. */"
    for program, group in groupby(listed, key=lambda part: part.program):
        own = list(group)
        stem = f"{prefix}_{program.upper()}"
        yield f"#define {stem}_ENGINES {sum(1 << part.engine for part in own)}"
        for part in own:
            of = f"{stem}_{part.engine.name}"
            for kind, value in (
                ("AT", part.at),
                ("WORDS", len(part.words)),
                ("LAST", part.last),
                ("TOTAL", part.total),
            ):
                yield f"#define {of}_{kind} {value}"
    words = [word for part in listed for word in part.words]
    yield ""
    yield f"/* All words, for the one file that defines {prefix}_WITH_PROGRAM. */"
    yield f"#ifdef {prefix}_WITH_PROGRAM"
    yield f"static const uint32_t {name}_program[{len(words)}] = {{"
    for first in range(0, len(words), 7):
        yield "    " + " ".join(f"0x{word:08x}u," for word in words[first : first + 7])
    yield "};"
    yield "#endif"
