"""The table of registers as a page, a C header, SystemRDL, and JSON."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from golden.core.register import Access, Field, Register
from golden.core.registers import Registers

#: Bytes of a register: bus addresses count bytes.
BYTES = 4
#: What a bus may do with a field, in words.
_ACCESS = {
    Access.READ: "read",
    Access.BOTH: "read, write",
    Access.WRITE: "write; reads as 0",
    Access.CLEAR: "read; a 1 clears it",
}
#: The same in SystemRDL: software's access, then the hardware's.
_RDL = {
    Access.READ: "sw = r; hw = w;",
    Access.BOTH: "sw = rw; hw = r;",
    Access.WRITE: "sw = w; hw = r;",
    Access.CLEAR: "sw = rw; hw = w; woclr;",
}
_WIDEST = 100


def bits_of(field: Field) -> str:
    """Return the bits of a field, as 7:0 or 3."""
    high = field.first + field.width - 1
    return f"{high}:{field.first}" if field.width > 1 else str(field.first)


def table_rows(table: Iterable[Register]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield address, name, bits, access and meaning of each field.

    Examples
    --------
    >>> from golden.core.config import CoreConfig
    >>> next(table_rows(Registers(CoreConfig())))
    ('000', 'id.version', '15:0', 'read', 'Version of this table')
    """
    for register in table:
        address = f"{BYTES * register.address:03x}"
        for field in register.fields:
            alone = len(register.fields) == 1 and field.name == "value"
            name = register.name if alone else f"{register.name}.{field.name}"
            text = field.text + (" (signed)" if field.signed else "")
            yield address, name, bits_of(field), _ACCESS[field.access], text


def page(table: Registers, title: str) -> str:
    """Return the page of the registers, in Markdown."""
    lines = [
        f"# {title}",
        "",
        "Registers have 32 bits. Addresses count bytes; a bus that counts words has a quarter of "
        "them. Reads change nothing. Writes to what is only read do nothing.",
        "",
        "| address | register or field | bits | access | meaning |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in table_rows(table)),
        "",
    ]
    for register in table:
        lines += [
            f"## {register.name}",
            "",
            f"Address {BYTES * register.address:03x}; {register.reset:08x} after a reset. "
            f"{register.text}",
            "",
        ]
        for field in register.fields:
            if field.values:
                lines += [f"Values of `{field.name}`:", "", "| value | name | meaning |"]
                lines += ["|---|---|---|"]
                lines += [f"| {v.value} | {v.name.lower()} | {v.text} |" for v in field.values]
                lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def as_json(table: Registers) -> list[dict[str, Any]]:
    """Return the registers as JSON has them."""
    return [
        {
            "name": register.name,
            "address": BYTES * register.address,
            "reset": register.reset,
            "meaning": register.text,
            "fields": [
                {
                    "name": field.name,
                    "first_bit": field.first,
                    "bits": field.width,
                    "access": field.access.value,
                    "signed": field.signed,
                    "reset": field.reset,
                    "meaning": field.text,
                    **(
                        {
                            "values": [
                                {"value": int(v), "name": v.name.lower(), "meaning": v.text}
                                for v in field.values
                            ]
                        }
                        if field.values
                        else {}
                    ),
                }
                for field in register.fields
            ],
        }
        for register in table
    ]


def system_rdl(table: Registers, name: str, made_by: str) -> str:
    """Return the registers in SystemRDL 2.0."""
    lines = [f"// {made_by}", ""]
    for register in table:
        for field in register.fields:
            if field.values:
                lines.append(f"enum {register.name}_{field.name}_e {{")
                for value in field.values:
                    about = f"{{ desc = {_quoted(value.text)}; }}"
                    lines.append(f"    \\{value.name.lower()} = {int(value)} {about};")
                lines += ["};", ""]
    lines += [
        f"addrmap {name} {{",
        f"    name = {_quoted(f'Registers of {name}')};",
        "    default regwidth = 32;",
        "    default accesswidth = 32;",
        "    addressing = regalign;",
    ]
    for register in table:
        lines += ["", "    reg {", f"        desc = {_quoted(register.text)};"]
        for field in register.fields:
            lines += [
                "        field {",
                f"            desc = {_quoted(field.text)};",
                f"            {_RDL[field.access]}",
            ]
            if field.access is Access.WRITE and field.width == 1:
                lines.append("            singlepulse;")
            if field.values:
                lines.append(f"            encode = {register.name}_{field.name}_e;")
            lines.append(
                f"        }} \\{field.name}[{field.first + field.width - 1}:{field.first}] "
                f"= {field.width}'h{field.reset:x};"
            )
        lines.append(f"    }} \\{register.name} @ 0x{BYTES * register.address:03x};")
    return "\n".join([*lines, "};", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header_lines(table: Registers, prefix: str) -> Iterator[str]:
    """Yield the lines of a C header: addresses of registers, and bits and values of fields."""
    for register in table:
        macro = f"{prefix}_{register.name.upper()}"
        yield ""
        yield from _comment(register.text)
        yield _define(macro, f"0x{BYTES * register.address:03x}u")
        for field in register.fields:
            alone = len(register.fields) == 1 and field.name == "value"
            of = macro if alone else f"{macro}_{field.name.upper()}"
            if not alone:
                yield from _comment(f"{field.text}.")
            yield _define(f"{of}_SHIFT", f"{field.first}")
            yield _define(f"{of}_MASK", f"0x{field.mask:08x}u")
            for value in field.values or ():
                yield _define(f"{of}_IS_{value.name}", f"{int(value)}", value.text)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        f"/* {text} */",
        _WIDEST,
        subsequent_indent=" * ",
        break_on_hyphens=False,
    )


def _define(name: str, value: str, about: str = "") -> str:
    return f"#define {name} {value}" + (f" /* {about} */" if about else "")
