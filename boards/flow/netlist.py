"""Reads Yosys's netlist of a unit: cells by kind and by submodule, and the registers' names.

A flattened netlist does not show which submodule a cell comes from. So every register gets a name
in its own module before that, and flattening notes each cell's module path in its attributes
(`hdlname`, `scopename`; an attribute of our own marks the top module's cells). Flip-flops,
multipliers and memories keep these attributes when they are mapped to the device's cells. LUTs and
carry cells do not: they are counted in the submodule of the cells that they drive, as logic in
front of a register.
"""

import json
import re
from collections import Counter, defaultdict
from functools import cached_property
from typing import Any

from boards.device import FF, LUT, Device

#: Kinds of cells that store, although they use LUTs.
_STORES = re.compile("DPR16X4|RAM|SRL")
#: Attribute of the cells that are in no submodule.
BODY_MARK = "gradloom_body"
#: Cells that belong to no submodule: pads and constants.
_NOBODYS = {"IBUF", "GND", "VCC", "VLO", "VHI"}
#: The suffix that Yosys appends to a register's name for the register's cell.
_SUFFIX = re.compile(r"_\$\w+_[A-Z]\w*$")
#: The suffix that nextpnr appends to a cell's name when it packs the cell.
_PACKED = re.compile(
    r"(_DFFLC|_LC|_ALULC|_TAIL_ALULC|_HEAD_ALULC|\$widefn_comb\[\d\]\$?|\$CCU2_\w+)$"
)


class Netlist:
    """A design that Yosys has flattened and mapped to a device.

    Parameters
    ----------
    text
        Yosys's JSON.
    device
        The device that it was mapped to.

    Raises
    ------
    ValueError
        It does not have exactly one top module.
    """

    def __init__(self, text: str, device: Device):
        design = json.loads(text)
        tops = [
            module
            for module in design["modules"].values()
            if int(module["attributes"].get("top", "0"), 2)
        ]
        if len(tops) != 1:
            raise ValueError(f"a netlist with one top module is wanted, not with {len(tops)}")
        self.device = device
        self._design, self._top = design, tops[0]
        cells = self._top["cells"]
        self.scopes = {name for name, cell in cells.items() if cell["type"] == "$scopeinfo"}
        self._cells: dict[str, Any] = {
            name: cell for name, cell in cells.items() if cell["type"] != "$scopeinfo"
        }

    @cached_property
    def cells(self) -> dict[str, int]:
        """Number of cells by kind, the most frequent first."""
        return dict(Counter(cell["type"] for cell in self._cells.values()).most_common())

    @cached_property
    def by_part(self) -> dict[str, dict[str, int]]:
        """Number of cells by kind in every submodule, by its path; "" is the top module itself."""
        parts: dict[str, Counter[str]] = defaultdict(Counter)
        for name, part in self._owners.items():
            parts[part][self._cells[name]["type"]] += 1
        return {part: dict(parts[part].most_common()) for part in sorted(parts)}

    def place_of(self, cell: str, port: str = "", *, end: bool = False) -> str:
        """Return the name of a cell of nextpnr's report in the unit's own words.

        Parameters
        ----------
        cell, port
            Names in nextpnr's report.
        end
            Whether a path begins or ends here. Then the register of a logic cell is meant, and not
            the LUT in front of it.

        Returns
        -------
        str
            A register and its bit, as in `node_0_1.sum[3]`; for any other cell its submodule, kind
            and port, as in `node_0_1 LUT4.B`.
        """
        # nextpnr for Nexus makes several blocks of one multiplier.
        name = _PACKED.sub("", cell.partition("/")[0])
        found = self._cells.get(name)
        if found is not None and end and self._kind(name) == LUT and name != cell:
            # A LUT and the flip-flop behind it are one logic cell, named after the LUT.
            behind = [
                sink
                for bit in self._outputs(found)
                for sink in self._sinks[bit]
                if self._kind(sink) == FF
            ]
            if behind:
                name, found = behind[0], self._cells[behind[0]]
        if found is None:
            # nextpnr made the cell itself: it begins or ends a carry chain.
            return self._scope_of(name) or "nextpnr's own cell"
        if self._kind(name) == FF:
            return self._register(name)
        where = self._owners.get(name, "")
        what = f"{found['type']}{f'.{port}' if port else ''}"
        return f"{where} {what}".strip()

    def _register(self, name: str) -> str:
        cell = self._cells[name]
        bits = self._outputs(cell)
        index = next((self._names[bit][1] for bit in bits if bit in self._names), None)
        path = cell["attributes"].get("hdlname")
        if path:
            *instances, register = path.split()
            signal = ".".join([*instances, _SUFFIX.sub("", register)])
        else:
            signal = next((self._names[bit][0] for bit in bits if bit in self._names), name)
        return signal + ("" if index is None else f"[{index}]")

    def _kind(self, name: str) -> str | None:
        cost = self.device.cost(self._cells[name]["type"])
        return cost[0] if cost else None

    @staticmethod
    def _outputs(cell: dict[str, Any]) -> list[Any]:
        directions = cell["port_directions"]
        return [
            bit
            for port, bits in cell["connections"].items()
            if directions[port] == "output"
            for bit in bits
        ]

    @staticmethod
    def _inputs(cell: dict[str, Any]) -> list[Any]:
        directions = cell["port_directions"]
        return [
            bit
            for port, bits in cell["connections"].items()
            if directions[port] == "input"
            for bit in bits
        ]

    @cached_property
    def _names(self) -> dict[Any, tuple[str, int | None]]:
        """A net's name and bit; the outermost of several names, and of those the shortest."""
        names: dict[Any, tuple[str, int | None]] = {}
        nets = self._top["netnames"].items()
        for name, net in sorted(nets, key=lambda item: (item[0].count("."), len(item[0]), item[0])):
            bits = net["bits"]
            offset = net.get("offset", 0)
            for index, bit in enumerate(bits):
                names.setdefault(bit, (name, index + offset if len(bits) > 1 else None))
        return names

    @cached_property
    def _sinks(self) -> dict[Any, list[str]]:
        """The cells that a net drives."""
        sinks: dict[Any, list[str]] = defaultdict(list)
        for name, cell in self._cells.items():
            for bit in self._inputs(cell):
                sinks[bit].append(name)
        return sinks

    def _scope_of(self, name: str) -> str:
        """Return the deepest submodule whose path is the beginning of a dotted name; "" if none."""
        while "." in name:
            name = name.rpartition(".")[0]
            if name in self.scopes:
                return name
        return ""

    def _noted(self, name: str) -> str | None:
        attributes = self._cells[name]["attributes"]
        if BODY_MARK in attributes:
            return ""
        if "scopename" in attributes:
            return ".".join(attributes["scopename"].split())
        if "hdlname" in attributes:
            return ".".join(attributes["hdlname"].split()[:-1])
        return None

    @cached_property
    def _owners(self) -> dict[str, str]:
        owners: dict[str, str] = {}
        open_ones = []
        for name, cell in self._cells.items():
            noted = "" if cell["type"] in _NOBODYS else self._noted(name)
            logic = self._kind(name) in (LUT, None) and not _STORES.search(cell["type"])
            if noted is None and not logic:
                noted = self._scope_of(name) or None
            if noted is None:
                open_ones.append(name)
            else:
                owners[name] = noted
        drivers: dict[Any, str] = {
            bit: name for name, cell in self._cells.items() for bit in self._outputs(cell)
        }

        def behind(name: str) -> list[str]:
            return [sink for bit in self._outputs(self._cells[name]) for sink in self._sinks[bit]]

        def before(name: str) -> list[str]:
            return [drivers[bit] for bit in self._inputs(self._cells[name]) if bit in drivers]

        # Each other cell gets the submodule of the cells that it drives, repeatedly; or the one in
        # its name; or that of the cells that drive it, as gates in front of an output drive none.
        for neighbours in (behind, None, before):
            known = -1
            while open_ones and known != len(owners):
                known = len(owners)
                left = []
                found = {}
                for name in open_ones:
                    if neighbours is None:
                        part: str | None = self._scope_of(name) or None
                    else:
                        votes = Counter(owners[n] for n in neighbours(name) if n in owners)
                        part = min(votes, key=lambda p: (-votes[p], p)) if votes else None
                    if part is None:
                        left.append(name)
                    else:
                        found[name] = part
                owners |= found
                open_ones = left
        return owners | dict.fromkeys(open_ones, "")

    def without_tied_carries(self) -> str:
        """Return the netlist, JSON, without constants at the beginning of a carry chain.

        nextpnr-nexus rejects them. Yosys connects the first cell's carry input to a constant,
        although that cell generates its own carry (Yosys issue 4081).
        """
        constants = {
            bit
            for cell in self._cells.values()
            if cell["type"] in ("VLO", "VHI")
            for bit in self._outputs(cell)
        } | {"0", "1", "x"}
        for cell in self._cells.values():
            if cell["type"] == "CCU2" and constants & set(cell["connections"].get("CIN", [])):
                cell["connections"]["CIN"] = []
        return json.dumps(self._design, separators=(",", ":"))
