"""Names of modules: which are allowed, and those that follow from a unit's.

A name is for designs in Verilog, SystemVerilog and VHDL: an identifier in all three, and a keyword
of none. VHDL allows no two underscores side by side, so no name has them, and the names of inner
modules, which do, cannot be those of another unit.
"""

import re

from golden import check

#: Keywords of Verilog (IEEE 1364-2005).
_VERILOG = """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign
    default defparam design disable edge else end endcase endconfig endfunction endgenerate
    endmodule endprimitive endspecify endtable endtask event for force forever fork function
    generate genvar highz0 highz1 if ifnone incdir include initial inout input instance integer join
    large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled
    not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran
    rtranif0 rtranif1 scalared showcancelled signed small specify specparam strong0 strong1 supply0
    supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use
    uwire vectored wait wand weak0 weak1 while wire wor xnor xor
"""
#: Further ones of SystemVerilog (IEEE 1800-2017).
_SYSTEMVERILOG = """
    accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit
    break byte chandle checker class clocking const constraint context continue cover covergroup
    coverpoint cross dist do endchecker endclass endclocking endgroup endinterface endpackage
    endprogram endproperty endsequence enum eventually expect export extends extern final
    first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import
    inside int interconnect interface intersect join_any join_none let local logic longint matches
    modport nettype new nexttime null package packed priority program property protected pure rand
    randc randcase randsequence ref reject_on restrict return s_always s_eventually s_nexttime
    s_until s_until_with sequence shortint shortreal soft solve static string strong struct super
    sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type typedef union
    unique unique0 until until_with untyped var virtual void wait_order weak wildcard with within
"""
#: Reserved words of VHDL (IEEE 1076-2019, with those of older editions).
_VHDL = """
    abs access after alias all and architecture array assert assume assume_guarantee attribute begin
    block body buffer bus case component configuration constant context cover default disconnect
    downto else elsif end entity exit fairness file for force function generate generic group
    guarded if impure in inertial inout is label library linkage literal loop map mod nand new next
    nor not null of on open or others out package parameter port postponed private procedure process
    property protected pure range record register reject release rem report restrict
    restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl strong
    subtype then to transport type unaffected units until use variable view vmode vpkg vprop vunit
    wait when while with xnor xor
"""
VERILOG = frozenset(_VERILOG.split())
SYSTEMVERILOG = frozenset(_SYSTEMVERILOG.split())
_KEYWORDS = {
    **dict.fromkeys(_VHDL.split(), "VHDL"),
    **dict.fromkeys([*VERILOG, *SYSTEMVERILOG], "Verilog or SystemVerilog"),
}
#: The longest name. Names of files are longer by some letters, and file systems allow 255.
LONGEST = 200


def problem(name: str) -> str | None:
    """Return why a module cannot have this name; None if it can."""
    if not re.fullmatch(r"[A-Za-z](?:_?[A-Za-z0-9])*", name):
        return (
            "allowed are a letter, then letters, digits and single _ between them, as in Verilog "
            "and VHDL"
        )
    if len(name) > LONGEST:
        return f"{len(name)} letters, allowed are {LONGEST}"
    if language := _KEYWORDS.get(name.lower()):  # VHDL knows no capital letters
        return f"a keyword of {language}, give another name"
    if name.lower().endswith("_tb"):
        return "_tb ends the names of testbenches, give another name"
    return None


def checked_name(name: str) -> str:
    """Return `name` if a module can have it.

    Raises
    ------
    ValueError
        It is a keyword, or no identifier of Verilog, SystemVerilog and VHDL.
    TypeError
        It is not a string.
    """
    check.instance("name", name, str)
    if found := problem(name):
        raise ValueError(f"name = {name!r}: {found}")
    return name


def snake(name: str) -> str:
    """Return the name of a class as a module's name: rounding_pipeline for RoundingPipeline."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub("_+", "_", name).strip("_")


def inner(module: str, part: str) -> str:
    """Return the name of a module inside `module`."""
    return f"{module}__{part}"
