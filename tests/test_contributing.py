"""CONTRIBUTING's made-up unit works as it stands there: three files and one entry."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

import golden
import gradloom
import hdl
from gradloom.cli import cli
from gradloom.units import UNITS, Unit

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
TWIN, COMPONENT, ENTRY, TEST = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.fixture
def halve(monkeypatch):
    """The unit, added to the tree for one test."""
    for name, text in (("golden.halve", TWIN), ("hdl.halve", COMPONENT)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(text, name, "exec"), module.__dict__)
        package = sys.modules[name.partition(".")[0]]
        for public in ("Halve", "HalveConfig"):
            if public in module.__dict__:
                monkeypatch.setattr(package, public, module.__dict__[public], raising=False)
    unit = eval(ENTRY, {"Unit": Unit, "golden": golden, "hdl": hdl})
    monkeypatch.setitem(UNITS, unit.name, unit)
    return unit


def run(*arguments):
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_its_test_passes(halve):
    space = {"golden": golden, "hdl": hdl, **vars(gradloom)}
    space |= {name: getattr(gradloom, name) for name in ("compare", "random_inputs")}
    exec(TEST, space)
    space["test_halves_agree"]()


def test_its_test_fails_where_the_hardware_is_wrong(halve, monkeypatch):
    wrong = COMPONENT.replace(">> 1, f", ">> 2, f")
    assert wrong != COMPONENT
    exec(compile(wrong, "hdl.halve", "exec"), sys.modules["hdl.halve"].__dict__)
    monkeypatch.setattr(hdl, "Halve", sys.modules["hdl.halve"].Halve)
    config = golden.HalveConfig(width=9, lanes=3)
    inputs = gradloom.random_inputs(config.ports, 500, seed=1)
    assert not gradloom.compare(hdl.Halve(config), inputs, golden.Halve(config))


def test_every_command_knows_it(halve, tmp_path):
    assert "halve" in run("generate", "--help")
    assert "Halves of codes" in run("compare", "halve", "--help")
    assert "agree with the twin" in run("compare", "halve", "--width", "5", "--lanes", "2")
    run("generate", "halve", "--set", "width=12", "-o", f"{tmp_path}/")
    described = json.loads((tmp_path / "gradloom_halve.json").read_text())
    assert described["parameters"]["width"] == 12
    assert {port["name"] for port in described["ports"]} >= {"i_data", "o_data"}
    assert (tmp_path / "gradloom_halve_tb.v").is_file()


def test_what_it_does_not_have_is_said(halve):
    result = CliRunner().invoke(cli, ["prove", "halve"])
    assert "halve has no specification" in str(result.exception)
