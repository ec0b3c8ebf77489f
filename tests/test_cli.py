"""The command line: exit statuses, one clear line for a mistake, help that says what a unit is."""

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner
from generated import gradloom

import golden
from gradloom import cli
from gradloom.units import UNITS


def call(monkeypatch, capsys, *arguments):
    """Exit status, standard output and standard error of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["gradloom", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


SMALL = ["array", "--rows", "2", "--columns", "2", "--a", "1,7", "--b", "1,7", "--cycles", "200"]


def test_as_a_module_and_as_a_command():
    result = gradloom("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert version("gradloom") in result.stdout


def test_without_a_command_there_is_help(command):
    for arguments in [], ["generate"], ["compare"]:
        status, out, err = command(*arguments)
        assert status == 2
        assert "Usage: gradloom" in out + err


def test_help_names_all_commands_and_units(command):
    status, out, err = command("--help")
    assert (status, err) == (0, "")
    assert all(
        re.search(rf"^  {name} ", out, re.M) for name in ("generate", "compare", "train", "demo")
    )
    for group in "generate", "compare":
        status, out, err = command(group, "--help")
        assert (status, err) == (0, "")
        assert all(re.search(rf"^  {name} ", out, re.M) for name in UNITS)


@pytest.mark.parametrize("group", ["generate", "compare"])
@pytest.mark.parametrize("name", UNITS)
def test_help_of_a_unit_has_ports_latency_and_throughput(group, name, command):
    status, out, err = command(group, name, "--help")
    assert (status, err) == (0, "")
    assert re.search(r"^  clk +in +1", out, re.M)
    assert re.search(r"^Latency: \d+ clocks", out, re.M)
    assert re.search(r"^Throughput: \S", out, re.M)
    for option in UNITS[name].options:
        assert option.opts[0] in out


BAD = {
    "unknown command": ("teach", "teach"),
    "unknown unit": ("generate adder", "adder"),
    "unknown option": ("generate lfsr --speed 9 -o x.v", "--speed"),
    "no output": ("generate lfsr", "--output"),
    "not a number": ("generate lfsr --lanes two -o x.v", "--lanes"),
    "out of range": ("generate array --rows 0 -o x.v", "rows = 0"),
    "too large": ("compare array --rows 256", "rows = 256"),
    "half a format": ("compare array --a 2", "--a"),
    "a format of letters": ("compare array --b x,y", "--b"),
    "a format too wide": ("compare macc --a 40,40", "--a"),
    "mask of letters": ("compare lfsr --lfsr-mask xyz", "'xyz' is not a hexadecimal number"),
    "mask that repeats early": ("compare lfsr --lfsr-mask 1", "mask"),
    "leap that is no power": ("compare lfsr --leap 3", "leap = 3"),
    "draw above leap": ("compare lfsr --draw 17", "draw = 17"),
    "seed of zero": ("compare lfsr --lfsr-seed 0", "seed = 0"),
    "half a conversion": ("compare rounder --conversion 28:2,14", "28:2,14"),
    "unknown rounding": ("compare rounder --conversion 28:2,14:up", "'up'"),
    "raw and rounded": ("compare array --raw --conversion 28:2,14:stochastic", "--raw"),
    "no clocks": ("compare lfsr --cycles 0", "--cycles"),
    "unknown simulator": ("compare lfsr --simulator fast", "--simulator"),
    "negative seed": ("compare lfsr --seed -1", "--seed"),
    "unknown recipe": ("train adam", "'adam'"),
    "unknown key": ("train --set colour=red", "colour"),
    "no value": ("train --set batch", "batch"),
    "value of letters": ("train --set batch=many", "batch"),
    "no data": ("train --data nowhere", "nowhere"),
    "surplus argument": ("train wage gupta", "gupta"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_clear_line(text, message, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(*text.split())
    assert status == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("gradloom: ")
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    result = gradloom(*["compare", "lfsr", "--leap", "3"], folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_an_interruption_is_no_traceback(command):
    with mock.patch("gradloom.verilog.generate", side_effect=KeyboardInterrupt):
        status, _, err = command("generate", "lfsr", "-o", "x.v")
    assert (status, err.strip()) == (130, "gradloom: interrupted")


def test_compare_says_that_all_agree(command):
    status, out, err = command("compare", *SMALL)
    assert (status, err) == (0, "")
    assert re.search(r"\b200\b", out)
    assert "agree" in out


def test_compare_as_json(command):
    status, out, _ = command("compare", *SMALL, "--seed", "4", "--json")
    result = json.loads(out)
    assert status == 0
    assert result["unit"] == "array"
    assert (result["clocks"], result["seed"], result["mismatches"]) == (200, 4, 0)
    assert result["values"] == 200 * 5
    assert result["difference"] is None


@pytest.fixture
def wrong_twin():
    """A twin that is off by one in one value."""
    right = golden.Array.run

    def run(self, inputs):
        outputs = right(self, inputs)
        outputs["o_data"][77, 1] ^= 1
        return outputs

    with mock.patch.object(golden.Array, "run", run):
        yield


def test_compare_fails_on_a_difference(command, wrong_twin):
    status, out, _ = command("compare", *SMALL)
    assert status == 1
    assert "77" in out and "o_data" in out
    assert "Traceback" not in out


def test_compare_fails_on_a_difference_as_json(command, wrong_twin):
    status, out, _ = command("compare", *SMALL, "--json")
    result = json.loads(out)
    assert status == 1
    assert result["mismatches"] == 1
    difference = result["difference"]
    assert (difference["cycle"], difference["port"], difference["lane"]) == (77, "o_data", 1)
    assert abs(difference["expected"] - difference["got"]) == 1
    assert result["files"] == []


def test_a_difference_leaves_waveforms_inside_and_out(command, wrong_twin, tmp_path):
    """Every signal of the array has a name, or the waveform of its inside could not be read."""
    status, out, err = command("compare", *SMALL, "--waves", str(tmp_path / "waves"), "--json")
    assert (status, err) == (1, "")
    names = {Path(path).name for path in json.loads(out)["files"]}
    assert names == {"array.vcd", "array.gtkw", "array-internal.vcd", "array-internal.gtkw"}
    assert all((tmp_path / "waves" / name).stat().st_size > 0 for name in names)
    assert "accepted" in (tmp_path / "waves" / "array-internal.vcd").read_text()


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_compares(name, command):
    status, out, err = command(
        "compare", name, "--cycles", "60", *(["--rows", "2"] if name == "array" else [])
    )
    assert (status, err) == (0, ""), out


def test_generate_says_what_it_wrote(command, tmp_path):
    status, out, err = command("generate", "wage-weight", "-o", tmp_path / "q.v")
    assert (status, err) == (0, "")
    assert re.fullmatch(rf"{tmp_path}/q.v: \d+ lines\n", out)


@pytest.mark.parametrize("recipe", ["wage", "gupta"])
def test_train_prints_an_epoch_a_line(recipe, command):
    status, out, err = command("train", recipe, "--set", "epochs=1", "--set", "hidden=4")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{recipe}: ") and "hidden=4" in lines[0]
    assert re.match(r"epoch +1: loss \d+\.\d+, training error", lines[-1])


def test_output_is_plain_text_where_it_is_piped():
    result = CliRunner().invoke(cli.cli, ["compare", *SMALL])
    assert result.exit_code == 0
    assert "\x1b" not in result.output
