"""A client in C for a core on a board: the link as plain files, and a header made for one core."""

from importlib.resources import files

from golden.core.lower import Compiled
from golden.core.program import parts
from golden.core.registers import Registers, design_hash
from gradloom.core.package import registers as register_texts
from gradloom.core.package.listing import c_programs
from gradloom.rtl.verilog import made_by

#: The files that are the same for every core, and the one that is not.
PLAIN, HEADER = ("gradloom_link.h", "gradloom_link.c", "example.c"), "gradloom_core.h"


def client(compiled: Compiled) -> dict[str, str]:
    """Return the files of a client in C99 for POSIX.

    Parameters
    ----------
    compiled
        The network on the board's core.

    Returns
    -------
    dict of str to str
        Names and texts.

    Examples
    --------
    >>> from golden.core.lower import compiled
    >>> from golden.training import load
    >>> sorted(client(compiled(load("digits-wage"), (8, 8, 1), 10, scores=True)))
    ['example.c', 'gradloom_core.h', 'gradloom_link.c', 'gradloom_link.h']
    """
    texts = {name: (files(__name__) / name).read_text("utf-8") for name in PLAIN}
    return texts | {HEADER: _header(compiled)}


def _header(compiled: Compiled) -> str:
    """Return the header of a core: registers, programs, commands."""
    config, prefix = compiled.config, "GRADLOOM"
    lines = [
        f"/* Registers and programs of a training core. {made_by()} */",
        "#ifndef GRADLOOM_CORE_H",
        "#define GRADLOOM_CORE_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define {prefix}_DESIGN 0x{design_hash(config):016x}ull",
        "",
        "/* Registers: byte addresses, places of their fields. */",
        *register_texts.header_lines(Registers(config), prefix),
        "",
        *c_programs(parts(compiled.programs), prefix, "gradloom"),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"
