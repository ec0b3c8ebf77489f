"""Boards of one's own: a platform in the place of those of the table, or a few pins in a TOML file.

    device = "ecp5-85f"                       # of `gradloom targets`
    package = "CABGA381"
    speed = "6"
    clock = { pin = "G2", mhz = 25 }
    uart = { rx = "M1", tx = "L4" }
    leds = ["B2", "C2", "C1"]                 # running, passed, failed; eight are a bar, too
    button = "R1"
    load = "openFPGALoader --cable ft231X {file}"

or a platform of Amaranth in their place, `platform = "module:Class"`, whose resources `led` and
`button` are numbered and whose `uart` is number 0.
"""

import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal

from boards.board import Board, Pin, find
from boards.device import DEVICES, Device
from boards.flow.gowin import with_present_flow
from boards.selftest.config import selftest_config
from boards.trainer.size import TrainerSize
from golden import check

#: Keys of a file, with what they are.
KEYS = {
    "title": str,
    "device": str,
    "platform": str,
    "part": str,
    "package": str,
    "speed": str,
    "clock": dict,
    "uart": dict,
    "leds": list,
    "leds_low": bool,
    "button": str,
    "button_low": bool,
    "io": str,
    "load": str,
    "size": int,
    "recipe": list,
    "train": int,
    "test": int,
}
#: Name of the attribute with the electrical standard of a pin, and the usual one, by family.
_STANDARDS = {
    "ecp5": ("IO_TYPE", "LVCMOS33"),
    "gowin": ("IO_TYPE", "LVCMOS33"),
    "ice40": ("IO_STANDARD", "SB_LVCMOS"),
    "xc7": ("IOSTANDARD", "LVCMOS33"),
}


def found(name: str) -> Board:
    """Return the board of a name, or of a TOML file.

    Raises
    ------
    ValueError
        There is none, or the file describes none.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> found("icebreaker").device.name
    'ice40-up5k'
    """
    if not name.endswith(".toml"):
        try:
            return find(name)
        except ValueError as error:
            raise ValueError(f"{error}, or the path of a .toml file") from None
    path = Path(name)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: {error}") from None
    try:
        return board_of(path.stem, values, path.parent)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def board_of(name: str, values: Mapping[str, Any], folder: Path = Path()) -> Board:
    """Return the board that the values of a file describe.

    Parameters
    ----------
    name
        Its name.
    values
        Values by the keys `KEYS`.
    folder
        Where a platform's module may be.

    Raises
    ------
    ValueError, TypeError
        A value is missing, unknown or wrong.

    Examples
    --------
    >>> board = board_of("mine", {
    ...     "device": "ecp5-25f", "package": "CABGA256", "speed": "6",
    ...     "clock": {"pin": "P6", "mhz": 25}, "uart": {"rx": "H2", "tx": "J2"},
    ...     "leds": ["P11", "M14", "M13"]})
    >>> board.frequency, board.pins()["tx"], board.button
    (25000000.0, 'J2', None)
    """
    for key, value in values.items():
        if key not in KEYS:
            raise ValueError(f"{key}: unknown; allowed are {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool) != (KEYS[key] is bool):
            raise TypeError(f"{key} = {value!r}: {KEYS[key].__name__} is wanted")
    device = DEVICES.get(_needed(values, "device"))
    if device is None or device.family.name not in _STANDARDS:
        able = [each.name for each in DEVICES.values() if each.family.name in _STANDARDS]
        raise ValueError(f"device = {values['device']!r}: allowed are {', '.join(able)}")
    if "platform" in values:
        platform = _given(values["platform"], device, folder)
        resources = platform().resources
        leds: list[Pin] = [
            ("led", number, None) for kind, number in sorted(resources) if kind == "led"
        ]
        button: Pin | None = ("button", 0, None) if ("button", 0) in resources else None
        if len(leds) < 3 or ("uart", 0) not in resources:
            raise ValueError(
                f"platform = {values['platform']!r}: three resources led and one uart are wanted"
            )
    else:
        platform = _made(values, device)
        leds = [("led", number, None) for number in range(len(values["leds"]))]
        button = ("button", 0, None) if "button" in values else None
    size = check.whole("size", values.get("size", 2), 1, 32)
    recipe = values.get("recipe", [])
    if not all(isinstance(each, str) and "=" in each for each in recipe):
        raise TypeError(f'recipe = {recipe}: settings are wanted, as ["batch=64"]')
    return Board(
        name=name,
        title=values.get("title", name),
        device=device,
        platform=platform,
        config=selftest_config(size, width=8, lanes=1, wide=16, operands=256),
        block_rams=None,
        running=leds[0],
        passed=leds[1],
        failed=leds[2],
        button=button,
        serial="as in its file",
        load=values.get("load", "openFPGALoader {file}"),
        trainer=TrainerSize(
            settings=tuple(recipe), train=values.get("train"), test=values.get("test")
        ),
        bar=tuple(leds[:8]) if len(leds) >= 8 else (),
    )


def _needed(values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        raise ValueError(f"{key}: is missing")
    return values[key]


def _part(values: Mapping[str, Any], key: str, part: str, kind: type) -> Any:
    """Return a value of a table."""
    value = _needed(values, key).get(part)
    if isinstance(value, bool) or not isinstance(
        value, kind if kind is not float else (int, float)
    ):
        raise ValueError(f"{key}.{part} = {value!r}: {kind.__name__} is wanted")
    return value


def _given(text: str, device: Device, folder: Path) -> Callable[[], Any]:
    """Return what makes a platform that is named as module:Class."""
    module, _, name = text.partition(":")
    sys.path.insert(0, str(folder))
    try:
        made = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"platform = {text!r}: {error}; module:Class is wanted") from None
    finally:
        sys.path.remove(str(folder))
    if device.family.name == "gowin":
        made = with_present_flow(made)
    return made


def _made(values: Mapping[str, Any], device: Device) -> Callable[[], Any]:
    """Return what makes a platform of the pins of a file."""
    from amaranth import vendor

    family = device.family.name
    key, usual = _STANDARDS[family]
    attributes = Attrs(**{key: values.get("io", usual)})
    leds = _needed(values, "leds")
    if len(leds) < 3 or not all(isinstance(pin, str) for pin in leds):
        raise ValueError(f'leds = {leds}: three pins or more are wanted, as ["B2", "C2", "C1"]')
    mhz = _part(values, "clock", "mhz", float)
    if not 0.1 <= mhz <= 1000:
        raise ValueError(f"clock.mhz = {mhz}: allowed are 0.1 to 1000")
    resources = [
        Resource(
            "clk",
            0,
            Pins(_part(values, "clock", "pin", str), dir="i"),
            Clock(mhz * 1e6),
            attributes,
        ),
        Resource(
            "uart",
            0,
            Subsignal("rx", Pins(_part(values, "uart", "rx", str), dir="i")),
            Subsignal("tx", Pins(_part(values, "uart", "tx", str), dir="o")),
            attributes,
        ),
        *(
            Resource("led", k, Pins(pin, dir="o", invert=values.get("leds_low", False)), attributes)
            for k, pin in enumerate(leds)
        ),
    ]
    if "button" in values:
        pins = Pins(values["button"], dir="i", invert=values.get("button_low", False))
        resources.append(Resource("button", 0, pins, attributes))
    members: dict[str, Any] = {"default_clk": "clk", "resources": resources, "connectors": []}
    match family:
        case "ecp5":
            base: Any = vendor.LatticeECP5Platform
            members |= {
                "device": values.get("part", device.part),
                "speed": _needed(values, "speed"),
            }
            members["package"] = _PACKAGES.get(
                _needed(values, "package"), _needed(values, "package")
            )
        case "ice40":
            base = vendor.LatticeICE40Platform
            members |= {"device": device.part, "package": _needed(values, "package")}
        case "gowin":
            base = with_present_flow(vendor.GowinPlatform)
            members |= {"family": device.part, "part": _needed(values, "part")}
        case _:
            base = vendor.XilinxPlatform
            members |= {
                "device": values.get("part", device.part.lower()),
                "package": _needed(values, "package"),
                "speed": _needed(values, "speed"),
            }
    return type("OwnPlatform", (base,), members)


#: Amaranth's names of ECP5's packages.
_PACKAGES = {
    "CABGA256": "BG256",
    "CABGA381": "BG381",
    "CABGA554": "BG554",
    "CABGA756": "BG756",
    "CSFBGA285": "MG285",
}
