"""Names of modules: which are allowed, and those that follow from a unit's.

A name is for designs in Verilog, SystemVerilog and VHDL: an identifier in all three, and a keyword
of none. VHDL allows no two underscores side by side, so no name has them, and the names of inner
modules, which do, cannot be those of another unit.
"""

import re

from golden import check

#: Keywords of Verilog (IEEE 1364-2005) and SystemVerilog (IEEE 1800-2017).
_VERILOG = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
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
_KEYWORDS = {
    **dict.fromkeys(_VHDL.split(), "VHDL"),
    **dict.fromkeys(VERILOG, "Verilog or SystemVerilog"),
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
