"""The one table of devices: what each FPGA has, and what a cell takes of it.

Targets (`boards/target.py`) and boards (`boards/board.py`) both name a device of this table. The
numbers of LUTs, flip-flops, multipliers and block RAMs are those of nextpnr's databases; those of
the Xilinx parts, which have no open place and route on PyPI, are from the data sheet (DS180).
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil

from boards.places import Places, ecp5

#: A resource of a device, by its name in reports. A DSP is a multiplier of about 18 x 18 bits.
LUT, FF, DSP, MEMORY = "LUT", "FF", "DSP", "memory"
RESOURCES = (LUT, FF, DSP, MEMORY)
#: The resources in words, for messages.
NAMES = {LUT: "LUTs", FF: "flip-flops", DSP: "DSPs", MEMORY: "memory blocks"}

#: Word width and depth of each form in which a block RAM of 18 kbit can be used.
_SHAPES_18K = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))


@dataclass(frozen=True, kw_only=True)
class Family:
    """What all devices of a family have in common.

    Parameters
    ----------
    name
        Short name: `ecp5`, `ice40`, `gowin`, `nexus` or `xc7`.
    costs
        What one cell takes: kind of cell (a pattern), resource, amount. The first match counts.
    half
        Widest operands, in bits, of two products that share one multiplier; 0 if none can.
    shapes
        Word width and depth of each form in which a block RAM can be used.
    block
        Memory blocks that one block RAM of these shapes is counted as.
    """

    name: str
    costs: tuple[tuple[str, str, float], ...]
    half: int = 0
    shapes: tuple[tuple[int, int], ...] = _SHAPES_18K
    block: float = 1

    def block_rams(self, width: int, depth: int) -> int:
        """Return the number of block RAMs that a memory takes.

        Parameters
        ----------
        width
            Bits of one word.
        depth
            Number of words.

        Examples
        --------
        >>> FAMILIES["ice40"].block_rams(17, 256)
        2
        """
        return min(ceil(width / wide) * ceil(depth / deep) for wide, deep in self.shapes)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="ecp5",
            costs=(
                ("LUT4", LUT, 1),
                ("CCU2C", LUT, 2),  # a carry cell is two LUTs with their carry chain
                ("TRELLIS_DPR16X4", LUT, 6),  # four store, two are the write port
                ("TRELLIS_FF", FF, 1),
                ("MULT18X18D", DSP, 1),
                ("DP16KD", MEMORY, 1),
                ("PDPW16KD", MEMORY, 1),
            ),
        ),
        Family(
            name="ice40",
            costs=(
                ("SB_LUT4", LUT, 1),
                ("SB_DFF*", FF, 1),
                ("SB_MAC16", DSP, 1),
                ("SB_RAM40_4K*", MEMORY, 1),
            ),
            half=8,
            shapes=((16, 256), (8, 512), (4, 1024), (2, 2048)),
        ),
        Family(
            name="gowin",
            costs=(
                ("LUT[1-4]", LUT, 1),
                ("ALU", LUT, 1),
                ("RAM16SDP4", LUT, 8),  # all LUTs of a cell: half of them are the write port
                ("DFF*", FF, 1),
                ("MULT9X9", DSP, 0.5),
                ("MULT18X18", DSP, 1),
                ("MULT36X36", DSP, 4),
                ("SDP*", MEMORY, 1),
                ("DP*", MEMORY, 1),
                ("SP*", MEMORY, 1),
                ("pROM*", MEMORY, 1),
            ),
            half=9,
        ),
        Family(
            name="nexus",
            costs=(
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
            half=9,
        ),
        Family(
            name="xc7",
            costs=(
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
            block=0.5,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Parameters
    ----------
    name
        Name in the table.
    part
        The part's short name, as boards print it.
    title
        Maker, part and package, for reports.
    family
        The family; its name is one of `FAMILIES`.
    grades
        Speed grades that can be chosen, the default first; empty where the part's name fixes it.
    luts, flip_flops
        Their numbers.
    multipliers
        Number of multipliers of about 18 x 18 bits.
    memories
        Number of memory blocks.
    cells
        What an array's nodes are made of: a name of `hdl.cells.CELLS`.
    places
        Positions of the multipliers, where they are known.

    Examples
    --------
    >>> DEVICES["ice40-up5k"].available["DSP"]
    8
    """

    name: str
    part: str
    title: str
    family: Family
    grades: tuple[str, ...] = ()
    luts: int
    flip_flops: int
    multipliers: int
    memories: int
    cells: str = "generic"
    places: Places | None = None

    @property
    def available(self) -> dict[str, int]:
        """Number of each resource on the device."""
        return {
            LUT: self.luts,
            FF: self.flip_flops,
            DSP: self.multipliers,
            MEMORY: self.memories,
        }

    @property
    def block_rams(self) -> int:
        """Number of block RAMs of the family's shapes (`Family.shapes`)."""
        return int(self.memories / self.family.block)

    def grade(self, asked: str | None = None) -> str:
        """Return the speed grade `asked`, or the default; "" where the part's name fixes it.

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
        """Return the resource that a cell of this kind takes and the amount; None if it takes none.

        Examples
        --------
        >>> DEVICES["ecp5-25f"].cost("CCU2C")
        ('LUT', 2)
        """
        for pattern, resource, amount in self.family.costs:
            if fnmatchcase(kind, pattern):
                return resource, amount
        return None

    def needs(self, cells: dict[str, int]) -> dict[str, float]:
        """Return the amount of each resource that cells take.

        Parameters
        ----------
        cells
            Number of cells by kind.

        Examples
        --------
        >>> DEVICES["ecp5-25f"].needs({"LUT4": 3, "CCU2C": 2})
        {'LUT': 7.0, 'FF': 0.0, 'DSP': 0.0, 'memory': 0.0}
        """
        sums = dict.fromkeys(RESOURCES, 0.0)
        for kind, number in cells.items():
            if cost := self.cost(kind):
                sums[cost[0]] += cost[1] * number
        return sums

    def lacks(self, needs: dict[str, float]) -> str | None:
        """Return a phrase that says which of `needs` the device has too few of; None if none.

        Examples
        --------
        >>> DEVICES["ecp5-25f"].lacks({"DSP": 30})
        'needs 30 DSPs, the device has 28'
        """
        missing = [
            f"{ceil(needs[resource]):,} {NAMES[resource]}, the device has {number:,}"
            for resource, number in self.available.items()
            if needs.get(resource, 0) > number
        ]
        return f"needs {'; '.join(missing)}" if missing else None

    def product(self, a: int, b: int) -> float:
        """Return the least number of multipliers for a product of `a` by `b` bits.

        It is 0 where synthesis may make the product of LUTs, and 0.5 where two products share one.

        Examples
        --------
        >>> DEVICES["gowin-gw1nr9"].product(8, 9)
        0.5
        """
        if not self.multipliers or min(a, b) < 8:
            return 0
        return 0.5 if max(a, b) <= self.family.half else 1

    def multiplies(self, verilog: str) -> bool:
        """Return whether Verilog instantiates multipliers of the device."""
        kinds = set(re.findall(r"^ +(\w+) #\(", verilog, re.M))
        return any((cost := self.cost(kind)) and cost[0] == DSP for kind in kinds)


def _ecp5(name: str, part: str, package: str, grades: tuple[str, ...]) -> Device:
    size = part[-3:-1]
    luts, multipliers, memories, places = _ECP5[size]
    return Device(
        name=name,
        part=part,
        title=f"Lattice ECP5 {part}, {package}",
        family=FAMILIES["ecp5"],
        grades=grades,
        luts=luts,
        flip_flops=luts,
        multipliers=multipliers,
        memories=memories,
        cells="ecp5",
        places=places,
    )


# LUTs, multipliers, block RAMs and the multipliers' positions, by size; the LFE5U and the LFE5UM5G,
# which has transceivers as well, do not differ in them.
_ECP5: dict[str, tuple[int, int, int, Places]] = {
    "25": (24_288, 28, 56, ecp5((13,), (range(4, 23, 9), range(33, 61, 9)))),
    "45": (43_848, 72, 108, ecp5((22, 46), (range(4, 32, 9), range(42, 79, 9)))),
    "85": (83_640, 156, 208, ecp5((10, 34, 58), (range(4, 59, 9), range(69, 115, 9)))),
}

_ALL = (
    *(
        _ecp5(f"ecp5-{size}f", f"LFE5U-{size}F", "CABGA381", ("8", "7", "6"))
        for size in (25, 45, 85)
    ),
    *(_ecp5(f"ecp5-5g-{size}f", f"LFE5UM5G-{size}F", "CABGA554", ("8",)) for size in (45, 85)),
    Device(
        name="ice40-up5k",
        part="iCE40UP5K",
        title="Lattice iCE40 UP5K, SG48",
        family=FAMILIES["ice40"],
        luts=5280,
        flip_flops=5280,
        multipliers=8,
        memories=30,
        cells="ice40",
    ),
    Device(
        name="ice40-hx8k",
        part="iCE40HX8K",
        title="Lattice iCE40 HX8K, CT256",
        family=FAMILIES["ice40"],
        luts=7680,
        flip_flops=7680,
        multipliers=0,
        memories=32,
    ),
    Device(
        name="gowin-gw1nr9",
        part="GW1NR-9C",
        title="Gowin GW1NR-9C, GW1NR-LV9QN88PC6/I5",
        family=FAMILIES["gowin"],
        luts=8640,
        flip_flops=6480,
        multipliers=20,
        memories=26,
        cells="gowin",
    ),
    Device(
        name="gowin-gw2a18",
        part="GW2A-18",
        title="Gowin GW2A-18, GW2A-LV18PG256C8/I7",
        family=FAMILIES["gowin"],
        luts=20_736,
        flip_flops=15_552,
        multipliers=48,
        memories=46,
        cells="gowin",
    ),
    Device(
        name="nexus-lifcl40",
        part="LIFCL-40",
        title="Lattice CrossLink-NX LIFCL-40-9BG400C",
        family=FAMILIES["nexus"],
        luts=32_256,
        flip_flops=32_256,
        multipliers=56,
        memories=84,
    ),
    Device(
        name="xc7a35t",
        part="XC7A35T",
        title="AMD Artix-7 XC7A35T",
        family=FAMILIES["xc7"],
        luts=20_800,
        flip_flops=41_600,
        multipliers=90,
        memories=50,
        cells="xc7",
    ),
    Device(
        name="xc7a100t",
        part="XC7A100T",
        title="AMD Artix-7 XC7A100T",
        family=FAMILIES["xc7"],
        luts=63_400,
        flip_flops=126_800,
        multipliers=240,
        memories=135,
        cells="xc7",
    ),
    Device(
        name="xc7k325t",
        part="XC7K325T",
        title="AMD Kintex-7 XC7K325T",
        family=FAMILIES["xc7"],
        luts=203_800,
        flip_flops=407_600,
        multipliers=840,
        memories=445,
        cells="xc7",
    ),
)

#: Every device, by name.
DEVICES: dict[str, Device] = {device.name: device for device in _ALL}
