"""Settings: every configuration reads back from each of its forms, and says what it checks."""

import ast
import dataclasses
import importlib
import json
import pkgutil
import re
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from generated import CASES, configured, run

import golden
from golden import settings
from golden.array import ArrayConfig
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator
from golden.macc import MaccConfig
from golden.settings import Bound, check_settings, setting
from golden.settings.fields import hints_of
from golden.training import GuptaRecipe, WageRecipe, load, toml

ROOT = Path(golden.__file__).parent.parent


def modules(package):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def configurations():
    """Every class of golden with a field made by `setting`, by name."""
    found = {}
    for module in modules(golden):
        for kind in vars(module).values():
            if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
                continue
            if any("setting" in field.metadata for field in dataclasses.fields(kind)):
                found[kind.__name__] = kind
    return found


KINDS = configurations()
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

#: A configuration of every unit, at its defaults and others; every recipe.
CONFIGS = {
    **{f"{name} {arguments}": configured(name, arguments)[1] for name, arguments in CASES},
    **{name: load(name) for name in toml.names()},
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def test_all_configurations_are_found():
    assert {"Fixed", "Conversion", "Generator", "ArrayConfig", "Recipe", "WageRecipe"} <= set(KINDS)
    named = {
        kind.__name__
        for module in modules(golden)
        for kind in vars(module).values()
        if isinstance(kind, type) and re.search(r"(Config|Recipe)$", kind.__name__)
    }
    assert named <= set(KINDS) and len(named) >= 16


@every_config
def test_a_configuration_reads_back_from_each_form(config):
    kind = type(config)
    assert settings.made(kind, settings.mapping(config)) == config
    assert settings.made(kind, json.loads(json.dumps(settings.mapping(config)))) == config
    assert settings.made(kind, settings.table(config)) == config
    assert None not in settings.flat(settings.table(config)).values()
    flat = settings.flat(settings.mapping(config))
    omitted = {leaf.name for leaf in settings.leaves(kind) if leaf.omitted(leaf.of(config))}
    assert list(flat) == [name for name in settings.names(kind) if name not in omitted]
    assert settings.made(kind, settings.nested(flat)) == config


@every_config
def test_each_setting_reads_back_from_its_text(config):
    texts = [f"{leaf.name}={leaf.show(leaf.of(config))}" for leaf in settings.leaves(type(config))]
    assert settings.varied(config, texts) == config
    assert settings.varied(type(config)(), texts) == config
    for leaf in settings.leaves(type(config)):
        value = leaf.read(leaf.show(leaf.of(config)))
        if not isinstance(leaf.of(config), str) or isinstance(value, str):
            assert value == leaf.of(config) or Fraction(value) == Fraction(leaf.of(config))


def test_values_have_real_types():
    assert settings.mapping(ArrayConfig(rows=2, conversions=(), multipliers=(1, 2))) == {
        "rows": 2,
        "columns": 8,
        "macc": {"a": "2,14", "b": "2,14", "depth": 511, "segments": 2, "ternary": False},
        "conversions": [],
        "generator": {"bits": 32, "mask": None, "leap": 16, "draw": 16, "seed": 1},
        "random_port": False,
        "multipliers": [1, 2],
        "ternary_depth": 8192,
    }
    wage = settings.mapping(WageRecipe())
    assert wage["rates"][1] == [41, -1] and wage["error_rounding"] == "nearest-even"
    assert type(wage["error_rounding"]) is str
    rates = settings.mapping(GuptaRecipe(learning_rate="1/3", momentum="0.25"))
    assert (rates["learning_rate"], rates["momentum"], rates["decay"]) == ("1/3", 0.25, 0)


TEXTS = {
    "rows": (8, "8"),
    "macc.a": (Fixed(2, 6), "2,6"),
    "macc.ternary": (False, "false"),
    "conversions": (
        (
            Conversion(fraction=28, target=Fixed(2, 14)),
            Conversion(fraction=20, target=Fixed(3, 5), rounding=Rounding.NEAREST_UP),
        ),
        "28:2,14:stochastic 20:3,5:nearest-up",
    ),
    "generator.mask": (0x80000EA6, "0x80000EA6"),
    "multipliers": ((3, 4), "3,4"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_value_has_one_text(name):
    value, text = TEXTS[name]
    leaf = {leaf.name: leaf for leaf in settings.leaves(ArrayConfig)}[name]
    assert leaf.show(value) == text
    assert leaf.read(text) == value
    assert leaf.of(settings.varied(ArrayConfig(), [f"{name}={text}"])) == value


def test_nothing_has_a_text_too():
    leaves = {leaf.name: leaf for leaf in settings.leaves(ArrayConfig)}
    for name, value in (("generator.mask", None), ("multipliers", None), ("conversions", ())):
        assert leaves[name].show(value) == "none"
        assert leaves[name].read("none") == value
    raw = settings.varied(ArrayConfig(multipliers=(1, 1)), ["conversions=none", "multipliers=none"])
    assert (raw.conversions, raw.multipliers) == ((), None)


def test_a_quiet_setting_is_in_documents_where_it_is_set():
    """Documents of units without it are as they were before there was the setting."""
    off, on = ArrayConfig(), ArrayConfig(saturated=True)
    for forms in (settings.mapping, settings.table):
        assert "saturated" not in forms(off) and forms(on)["saturated"] is True
        assert forms(on) | {"saturated": False} == forms(off) | {"saturated": False}
    assert "saturated" in settings.names(ArrayConfig)
    assert [text for text in settings.shown(on) if text not in settings.shown(off)] == [
        "saturated=true"
    ]


def test_a_mask_is_hexadecimal_with_or_without_0x():
    assert settings.varied(Generator(), ["mask=80000EA6"]).mask == 0x80000EA6
    with pytest.raises(ValueError, match=r"^mask = 'xyz': a hexadecimal number is wanted"):
        settings.varied(Generator(), ["mask=xyz"])


def test_settings_of_one_table_are_set_together():
    """Neither alone would be allowed."""
    config = settings.varied(ArrayConfig(), ["macc.b=1,1", "macc.ternary=true", "macc.depth=9"])
    assert config.macc == MaccConfig(b=Fixed(1, 1), ternary=True, depth=9)
    with pytest.raises(ValueError, match=r"^macc.b = <2,14>: a ternary node's b has 2 bits"):
        settings.varied(ArrayConfig(), ["macc.ternary=true"])


WRONG = {
    "unknown": ({"rowz": 1}, "unknown key 'rowz': allowed are rows, columns, macc.a, "),
    "unknown in a table": ({"macc": {"z": 1}}, "unknown key 'macc.z': allowed are macc.a, macc.b,"),
    "range": ({"rows": 0}, "rows = 0: allowed are 1 to 255"),
    "range in a table": ({"macc": {"segments": 5}}, "macc.segments = 5: allowed are 1 to 4"),
    "no table": ({"macc": 3}, "macc = 3: a table of a, b, depth, segments, ternary is wanted"),
    "no format": ({"macc": {"a": 16}}, "macc.a = 16: a text IL,FL is wanted"),
    "half a format": ({"macc": {"a": "2"}}, "macc.a = '2': format '2': IL,FL is wanted, as in 2,"),
    "a large format": ({"macc": {"a": "20,20"}}, "macc.a = '20,20': il + fl = 40: allowed are 2"),
    "text": ({"rows": "8"}, "rows = '8': a whole number is wanted"),
    "bool": ({"rows": True}, "rows = True: a whole number is wanted"),
    "null": ({"rows": None}, "rows = None: a whole number is wanted"),
    "no bool": ({"macc": {"ternary": 1}}, "macc.ternary = 1: true or false is wanted"),
    "no list": ({"multipliers": 4}, "multipliers = 4: a list is wanted, as in [1, 2]"),
    "no pair": ({"multipliers": [4]}, "multipliers = [4]: a list is wanted, as in [1, 2]"),
    "no texts": (
        {"conversions": "28:2,14:stochastic"},
        "conversions = '28:2,14:stochastic': a list is wanted, as in [\"28:2,14:stochastic\"]",
    ),
    "half a conversion": (
        {"conversions": ["28"]},
        "conversions = ['28']: '28': FRACTION:IL,FL:ROUNDING is wanted, as in 28:2,14:stochastic",
    ),
    "together": (
        {"macc": {"depth": 1 << 24, "a": "12,12", "b": "12,12"}},
        "macc: accumulator of 24 + 24 + floor(log2 16777216) = 24 + 24 + 24 = 72 bits",
    ),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_one_line_with_its_dotted_name(values, message):
    with pytest.raises(ValueError) as caught:
        settings.made(ArrayConfig, values, "file x: ")
    assert str(caught.value).startswith(f"file x: {message}")
    assert "\n" not in str(caught.value)


def test_an_error_can_call_a_setting_by_another_name():
    with pytest.raises(ValueError, match=r"^--lfsr-seed = 0: allowed are 1 to 4294967295$"):
        settings.made(ArrayConfig, {"generator": {"seed": 0}}, named=lambda path: "--lfsr-seed")


def test_the_least_of_several_ends_counts_and_is_named():
    for given, message in (
        ({"bits": 8, "draw": 16}, "draw = 16: allowed are 1 to 7 (at most bits - 1)"),
        ({"leap": 4, "draw": 8}, "draw = 8: allowed are 1 to 4 (at most leap)"),
        ({"leap": 64, "bits": 64, "draw": 33}, "draw = 33: allowed are 1 to 32"),
        ({"bits": 8, "draw": 0}, "draw = 0: allowed are 1 to 7"),
    ):
        with pytest.raises(ValueError) as caught:
            Generator(**given)
        assert str(caught.value) == message


def test_a_field_without_a_setting_is_refused():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config:
        depth: int = 8

        def __post_init__(self):
            check_settings(self)

    with pytest.raises(TypeError, match=r"^Config\.depth: a field made by `setting` is wanted$"):
        Config()


def test_another_default_keeps_what_the_field_says():
    assert settings.of_fields(GuptaRecipe)["batch"] == settings.of_fields(WageRecipe)["batch"]
    with pytest.raises(ValueError, match="batch = 0: allowed are 1 to 65536"):
        GuptaRecipe(batch=0)


def test_descriptions_say_range_unit_and_none():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config:
        width: int = setting(8, "Width of a word", low=2, high=62, unit="bits")
        depth: int = setting(1, "Places", low=1, high=1 << 24)
        seed: int = setting(1, "Seed", low=0, high=2**63 - 1)
        part: int = setting(
            1, "Part", low=1, high=(Bound("width", lambda config: config.width), 9), unit="bits"
        )
        size: int | None = setting(
            None, "Size", low=1, high=64, power_of_two=True, none="None takes all.", more="More."
        )
        kind: str = setting("a", "Kind", allowed=("a", "b", "c"))
        rounding: Rounding = setting(Rounding.STOCHASTIC, "Rounding")
        flag: bool = setting(False, "Whether it is so")

    said = {name: one.description for name, one in settings.of_fields(Config).items()}
    assert said == {
        "width": "Width of a word, 2 to 62 bits.",
        "depth": "Places, 1 to 2^24.",
        "seed": "Seed, 0 to 2^63 - 1.",
        "part": "Part, 1 to the least of width and 9.",
        "size": "Size, 1 to 64, a power of two. None takes all. More.",
        "kind": "Kind: a, b or c.",
        "rounding": "Rounding: stochastic, nearest-down, nearest-even, nearest-away or nearest-up.",
        "flag": "Whether it is so.",
    }


def sections(kind):
    """The section `Parameters` of a class's docstring: name to text."""
    found = re.search(
        r"^    Parameters\n    -+\n(.*?)(?=^    \w[^\n]*\n    -+\n|^    The others are|\Z)",
        kind.__doc__,
        re.M | re.S,
    )
    texts, name = {}, None
    for line in found[1].rstrip().splitlines() if found else []:
        if re.match(r"    \w", line):
            texts[name := line.strip()] = ""
        else:
            texts[name] = f"{texts[name]} {line.strip()}".strip()
    return texts


@every_kind
def test_the_docstring_says_what_the_settings_say(kind):
    """All fields that the class itself makes by `setting`, in order, word for word."""
    tree = ast.parse(Path(sys.modules[kind.__module__].__file__).read_text("utf-8"))
    body = next(node.body for node in ast.walk(tree) if getattr(node, "name", "") == kind.__name__)
    own = [
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.value or node).startswith("setting")
    ]
    said = settings.of_fields(kind)
    assert own
    assert sections(kind) == {name: said[name].description for name in own}
    assert list(sections(kind)) == own


@every_kind
def test_what_a_field_says_is_a_sentence(kind):
    for name, said in settings.of_fields(kind).items():
        assert re.match(r"[A-Z\d].*[^.]$", said.text), name
        for sentence in (said.none, said.more):
            assert not sentence or sentence.endswith("."), name


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith("Config")])
def test_figures_say_what_the_properties_say(name):
    kind = KINDS[name]
    assert any(figure.endswith("latency") for figure in kind.FIGURES)
    for figure, text in kind.FIGURES.items():
        assert " ".join(getattr(kind, figure).__doc__.split()) == text


def test_ranges_of_numbers_are_said():
    """A number without one is checked by its class."""
    without = {
        f"{kind.__name__}.{name}"
        for kind in KINDS.values()
        for name, said in settings.of_fields(kind).items()
        if hints_of(kind)[name] is int and not said.range
    }
    assert without == {"DorefaBits.gradient"}


SOURCES = [
    path
    for room in ("golden", "hdl", "gradloom", "boards", "docs", "bench")
    for path in (ROOT / room).rglob("*.py")
]


def test_every_setting_is_read_beyond_its_check():
    """In the models or the hardware; tests/test_config.py looks at each unit as it runs."""
    read = set()
    for path in [*(ROOT / "golden").rglob("*.py"), *(ROOT / "hdl").rglob("*.py")]:
        if path.is_relative_to(ROOT / "golden/settings"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
                node.body = []
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    unread = {
        f"{kind.__name__}.{name}"
        for kind in KINDS.values()
        for name in settings.of_fields(kind)
        if name not in read
    }
    assert unread == set()


def test_hardware_builds_no_configuration_by_hand():
    """A part's configuration is a property of the whole's, so that no width is derived twice."""
    calls = {
        (path.name, node.func.id)
        for path in (ROOT / "hdl").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert len(calls) > 50
    assert [call for call in calls if re.search(r"Config$|^Conversion$|^Generator$", call[1])] == []


def test_parts_have_their_configurations_from_the_whole():
    generator = Generator(leap=8, draw=8, seed=5)
    array = ArrayConfig(rows=2, columns=3, generator=generator, macc=MaccConfig(depth=9))
    assert array.rounder == golden.RounderConfig(width=35, generator=generator)
    assert array.lfsr == golden.LfsrConfig(generator=generator, lanes=3)
    assert array.lfsr.lane(2) == golden.LfsrConfig(generator=generator, first_lane=2)
    assert array.lfsr.start().count == 3
    assert ArrayConfig(conversions=()).rounder is None
    for kind in golden.RounderConfig, golden.ErrorQuantizerConfig, golden.WeightUpdateConfig:
        config = kind(generator=generator, lanes=2, first_lane=4)
        assert config.lfsr == golden.LfsrConfig(generator=generator, lanes=2, first_lane=4)
        assert config.buffer == config.latency + 1


def test_nothing_reads_a_docstring():
    """Python drops them under -OO."""
    assert len(SOURCES) > 100
    reads = [
        str(path) for path in SOURCES if re.search(r"__doc__|getdoc\(", path.read_text("utf-8"))
    ]
    assert reads == []


def test_without_docstrings_units_are_generated(tmp_path):
    texts = []
    for flags in [], ["-OO"]:
        command = [sys.executable, *flags, "-m", "gradloom", "generate", "lfsr", "-o", "x.v"]
        made = run(command, tmp_path, PYTHONPATH=str(ROOT))
        assert made.returncode == 0, made.stderr
        texts.append((tmp_path / "x.v").read_text())
    assert texts[0] == texts[1] and "Latency: 1 clocks. Clocks from" in texts[0]


HELP = """
import click
from gradloom.cli import cli

def show(command, ctx):
    print(ctx.command_path, command.get_help(ctx))
    for name in command.list_commands(ctx) if isinstance(command, click.Group) else ():
        inner = command.get_command(ctx, name)
        show(inner, click.Context(inner, parent=ctx, info_name=name))

show(cli, click.Context(cli, info_name="gradloom"))
"""


def test_without_docstrings_the_help_is_the_same(tmp_path):
    plain, bare = (
        run([sys.executable, *flags, "-c", HELP], tmp_path, PYTHONPATH=str(ROOT), COLUMNS="80")
        for flags in ([], ["-OO"])
    )
    assert (plain.returncode, bare.returncode, bare.stderr) == (0, 0, "")
    assert plain.stdout == bare.stdout
    assert plain.stdout.count("Usage:") > 40
