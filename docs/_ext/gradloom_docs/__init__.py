"""Sphinx extension: directives that take a unit's page from the unit itself.

`unit-timing`, `unit-ports`, `unit-parameters`, `unit-figures`, `unit-resources` and `unit-commands`
each take a unit's name; `unit-table` lists all units, `wavefront` shows the array at work, and
`core-registers` lists the registers of the training core.
"""

import hashlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from amaranth.lib import wiring
from docutils import nodes
from numpy.typing import ArrayLike
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import ExtensionMetadata, stringify_annotation

from golden.core.config import CoreConfig
from golden.core.registers import Registers
from golden.fixed import Codes
from golden.twin import Trace
from gradloom import UNITS, Unit
from gradloom.core.package.registers import table_rows
from gradloom_docs import describe, timing, wavefront

_HERE = Path(__file__).parent
#: Names of types that a signature would spell out; the longer ones first.
_ALIASES: dict[str, Any] = {"ArrayLike": ArrayLike, "Trace": Trace, "Codes": Codes}
#: Docstrings of properties, by name, between two handlers.
_PROPERTIES: dict[str, list[str]] = {}
#: How Sphinx spells types.
_MODES: tuple[Literal["smart", "fully-qualified-except-typing"], ...] = (
    "smart",
    "fully-qualified-except-typing",
)


class picture(nodes.General, nodes.Element):
    """A timing diagram: `unit` is the unit's name."""


def _visit_picture(self: Any, node: picture) -> None:
    """Write the diagram beside the other images, and show it."""
    name = node["unit"]
    content = timing.svg(name)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    file = f"timing-{name}-{digest}.svg"
    folder = Path(self.builder.outdir) / self.builder.imagedir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(content)
    wide, high = re.findall(r' (?:width|height)="([\d.]+)"', content)[:2][::-1]
    source = f"{self.builder.imgpath}/{file}"
    self.body.append(
        f'<div class="timing"><a href="{source}"><img src="{source}" width="{wide}" '
        f'height="{high}" alt="Timing diagram of {name}"></a></div>'
    )
    raise nodes.SkipNode


class _Directive(SphinxDirective):
    """What the directives have in common: Markdown in, nodes out."""

    required_arguments = 1

    @property
    def unit(self) -> Unit:
        """The unit that the argument names."""
        name = self.arguments[0]
        if name not in UNITS:
            raise self.error(f"there is no unit {name!r}: {', '.join(UNITS)}")
        return UNITS[name]

    def markdown(self, text: str) -> list[nodes.Node]:
        """The nodes of a text."""
        return self.parse_text_to_nodes(text)

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str
    ) -> list[nodes.Node]:
        """A table of Markdown cells, in a frame that scrolls."""
        lines = [head, ["---"] * len(head), *rows]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
        parsed = self.markdown(text)
        for node in parsed:
            for table in node.findall(nodes.table):
                table["classes"].append(kind)
        return parsed

    def code(self, text: str, language: str) -> nodes.literal_block:
        """A block of code."""
        return nodes.literal_block(text, text, language=language)


class UnitTiming(_Directive):
    """A unit's timing diagram, with what there is to see in it."""

    def run(self) -> list[nodes.Node]:
        run = timing.run(self.unit.name)
        arguments = " ".join(run.script.arguments)
        how = f"made with `{arguments}`" if arguments else "at the default parameters"
        return [
            picture(unit=self.unit.name),
            *self.markdown(
                f"{run.script.text}\n\nThe unit is {how}. A cell is a clock; it shows the values "
                "just before the rising edge that ends it. "
                + (
                    "Colours pair operands and results; inputs that do not matter are hatched. "
                    if "i_valid" in run.inputs
                    else ""
                )
                + "The picture is what Amaranth's simulator gave, and the twin agrees with it."
            ),
        ]


class UnitPorts(_Directive):
    """A unit's plain ports at its defaults."""

    def run(self) -> list[nodes.Node]:
        head = ("port", "direction", "bits", "meaning")
        return self.table(head, describe.ports(self.unit), "ports")


class UnitParameters(_Directive):
    """A unit's parameters, in Python and on the command line."""

    def run(self) -> list[nodes.Node]:
        config = type(timing.configuration(self.unit)).__name__
        head = (f"`golden.{config}`", "option", "default", "meaning")
        return self.table(head, describe.parameter_table(self.unit), "parameters")


class UnitFigures(_Directive):
    """A unit's latency and throughput."""

    def run(self) -> list[nodes.Node]:
        head = ("", "formula", "at the defaults", "meaning")
        return self.table(head, describe.timing(self.unit), "figures")


class UnitResources(_Directive):
    """A unit's measured resources, a section of its own; nothing where none were measured."""

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir) / "units"
        self.env.note_dependency(str(folder / "resources.json"))
        found = describe.resources(folder, self.unit)
        if found is None:
            return []
        note, (head, *rows) = found
        section = nodes.section(ids=["resources"], names=["resources"])
        section += nodes.title("Resources", "Resources")
        section += self.table(head, rows, "resources")
        if note:
            section += self.markdown(note)
        return [section]


class UnitCommands(_Directive):
    """Commands and Python that generate a unit and compare it."""

    def run(self) -> list[nodes.Node]:
        return [
            self.code(describe.commands(self.unit), "sh"),
            *self.markdown("From Python:"),
            self.code(describe.python(self.unit), "python"),
        ]


class UnitTable(_Directive):
    """All units."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        head = ("unit", "what it does", "latency at the defaults")
        return self.table(head, describe.overview(), "units")


class Wavefront(_Directive):
    """The array at work, a clock at a time."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(_HERE / "wavefront.js"))
        return [nodes.raw("", wavefront.page(), format="html")]


class CoreRegisters(_Directive):
    """The registers of the training core."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        table = Registers(CoreConfig())
        head = ("address", "register or field", "bits", "access", "meaning")
        rows = [(f"`{address}`", f"`{name}`", *rest) for address, name, *rest in table_rows(table)]
        found = self.table(head, rows, "registers")
        for register in table:
            text = f"**`{register.name}`** at `{4 * register.address:03x}`: {register.text}"
            for field in register.fields:
                for value in field.values or ():
                    text += (
                        f"\n- `{field.name}` {int(value)}, `{value.name.lower()}`: {value.text}."
                    )
            found += self.markdown(text)
        return found


_DIRECTIVES: dict[str, type[_Directive]] = {
    "unit-timing": UnitTiming,
    "unit-ports": UnitPorts,
    "unit-parameters": UnitParameters,
    "unit-figures": UnitFigures,
    "unit-resources": UnitResources,
    "unit-commands": UnitCommands,
    "unit-table": UnitTable,
    "wavefront": Wavefront,
    "core-registers": CoreRegisters,
}


def _copy_style(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        copy_asset(_HERE / "static", Path(app.outdir) / "_static", force=True)


def _plain_words(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Docstrings are plain text with code in backticks; reStructuredText sees more than that."""
    lines[:] = [re.sub(r"`([^`]+)`(?=(\w?))|[|*]", _escaped, line) for line in lines]
    if what == "property":
        _PROPERTIES[name] = list(lines)


def _whole_properties(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """What stands before a colon in a property's docstring is no type, as napoleon has it."""
    if what == "property":
        lines[:] = _PROPERTIES.pop(name)


def _escaped(found: re.Match[str]) -> str:
    if found[1] is None:
        return f"\\{found[0]}"
    # Code next to letters or signs has to be told apart from them.
    before = found.string[: found.start()][-1:]
    return ("\\ " if before.strip() else "") + f"``{found[1]}``" + ("\\ " if found[2] else "")


def _signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, result: Any
) -> tuple[str | None, Any]:
    """Signatures with the names of types that stand for long ones, and a component's own."""
    if what == "class" and isinstance(obj, type) and issubclass(obj, wiring.Component):
        # Amaranth wraps the constructor.
        own = inspect.signature(obj.__init__)
        kept = [one for key, one in own.parameters.items() if key != "self"]
        own = own.replace(parameters=kept, return_annotation=inspect.Signature.empty)
        signature = stringify_signature(own, unqualified_typehints=True)
    return _named(signature), _named(result)


def _named(text: str | None) -> str | None:
    for alias, kind in _ALIASES.items():
        for mode in _MODES:
            expanded = stringify_annotation(kind, mode)
            text = text.replace(expanded, alias) if text else text
    # Members of enumerations inside of other defaults.
    return re.sub(r"<(\w+\.\w+): '[^']*'>", r"\1", text) if text else text


def _colons(app: Sphinx, doctree: nodes.document) -> None:
    """Between a parameter and its text, a colon in place of two dashes."""
    for description in doctree.findall(addnodes.desc_content):
        for text in list(description.findall(nodes.Text)):
            if " -- " in text and not isinstance(text.parent, nodes.literal):
                text.parent.replace(text, nodes.Text(text.replace(" -- ", ": ", 1)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_node(picture, html=(_visit_picture, None))
    for name, directive in _DIRECTIVES.items():
        app.add_directive(name, directive)
    app.connect("autodoc-process-docstring", _plain_words, priority=400)
    app.connect("autodoc-process-docstring", _whole_properties, priority=600)
    app.connect("autodoc-process-signature", _signature)
    app.connect("doctree-read", _colons)
    app.connect("build-finished", _copy_style)
    app.add_css_file("gradloom.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
