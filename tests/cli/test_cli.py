"""The command line: exit statuses, one clear line for a mistake, help that says what a unit is."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner
from command import call
from generated import configured, gradloom

import golden
from golden import settings
from gradloom import cli
from gradloom import options as options_of
from gradloom.units import UNITS


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
        re.search(rf"^  {name} ", out, re.M)
        for name in ("generate", "compare", "train", "sweep", "demo")
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
    "no places": (
        "generate array --cells ice40 --places ice40-up5k -o x.v",
        "no places are known for ice40-up5k",
    ),
    "too large": ("compare array --rows 256", "rows = 256"),
    "half a format": ("compare array --a 2", "--a"),
    "a format of letters": ("compare array --b x,y", "--b"),
    "a format too wide": ("compare macc --a 40,40", "--a"),
    "mask of letters": (
        "compare lfsr --lfsr-mask xyz",
        "'--lfsr-mask': 'xyz': a hexadecimal number is wanted",
    ),
    "mask that repeats early": ("compare lfsr --lfsr-mask 1", "mask"),
    "leap that is no power": ("compare lfsr --leap 3", "leap = 3"),
    "draw above leap": ("compare lfsr --draw 17", "draw = 17"),
    "draw above a narrow register": (
        "compare lfsr --lfsr-bits 8 --draw 16",
        "--draw = 16: allowed are 1 to 7 (at most lfsr-bits - 1)",
    ),
    "seed of zero": (
        "compare lfsr --lfsr-seed 0",
        ": --lfsr-seed = 0: allowed are 1 to 4294967295",
    ),
    "seed of zero by its name": (
        "compare lfsr --set generator.seed=0",
        ": --set generator.seed = 0: allowed are 1 to 4294967295",
    ),
    "seed of zero with a unit": (
        "compare array --set array.generator.seed=0",
        ": --set generator.seed = 0: allowed are 1 to 4294967295",
    ),
    "format of letters by its name": (
        "compare array --set macc.a=x,y",
        "--set macc.a = 'x,y': format 'x,y': IL,FL is wanted, as in 2,14",
    ),
    "a wide format by its name": (
        "compare array --set macc.a=20,20",
        "--set macc.a = '20,20': il + fl = 40: allowed are 2 to 24",
    ),
    "near a name": (
        "generate array -o x.v --set macc.dept=3",
        "--set macc.dept=3: array has no setting macc.dept; similar names are macc.depth",
    ),
    "a name without its table": (
        "generate array -o x.v --set seed=3",
        "array has no setting seed; similar names are generator.seed",
    ),
    "no such name": (
        "generate wage-weight -o x.v --set colour=red",
        "wage-weight has no setting colour; it has stored, bits, lanes\n",
    ),
    "a table": (
        "prove array --set macc=3",
        "--set macc=3: set one of macc.a, macc.b, macc.depth, macc.segments, macc.ternary",
    ),
    "a name alone": (
        "mutate lfsr --set lanes",
        "--set lanes: give NAME=VALUE; a NAME is one of generator.bits,",
    ),
    "a name and its unit alone": ("mutate lfsr --set lfsr", "--set lfsr: give NAME=VALUE"),
    "an option beside the same name in a table": (
        "compare wage-error --set generator.bits=24 --bits 1",
        ": --bits = 1: allowed are 2 to 24",
    ),
    "half a conversion": ("compare rounder --conversion 28:2,14", "28:2,14"),
    "unknown rounding": ("compare rounder --conversion 28:2,14:up", "'up'"),
    "raw and rounded": ("compare array --raw --conversion 28:2,14:stochastic", "--raw"),
    "half a block": ("compare array --multipliers 4", "'4': ROWS,COLUMNS is wanted"),
    "too large a block": ("compare array --multipliers 9,1", "rows of multipliers = 9"),
    "ternary words": ("compare macc --ternary --b 2,14", "b = <2,14>: a ternary node's b has 2"),
    "no clocks": ("compare lfsr --cycles 0", "--cycles"),
    "unknown simulator": ("compare lfsr --simulator fast", "--simulator"),
    "negative seed": ("compare lfsr --seed -1", "--seed"),
    "unknown recipe": ("train adam", "'adam'"),
    "no recipe": ("train", "RECIPE"),
    "no recipe file": ("train mine.toml", "mine.toml: No such file"),
    "unknown key": (
        "train digits-wage --set colour=red",
        "recipe digits-wage: unknown key 'colour'",
    ),
    "no value": ("train digits-wage --set batch", "'batch'"),
    "value of letters": ("train digits-wage --set batch=many", "batch = 'many'"),
    "impossible value": (
        "train digits-gupta --set formats.fl=15",
        "formats.fl = 15: allowed are 0",
    ),
    "images too small": ("train wage-cnn --out run", "images of 16 x 16 or more are wanted"),
    "no data": ("train digits-wage --data nowhere", "nowhere"),
    "resume what": ("train digits-wage --resume", "--resume needs --out"),
    "surplus argument": ("train digits-wage digits-gupta", "digits-gupta"),
    "no such recipe to print": ("recipes adam", "'adam'"),
    "plots of nothing": ("plots .", "metrics.csv"),
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


#: Options, and the settings that make the same.
SAME = [
    ("array", "--rows 3 --a 2,6 --leap 8 --draw 8", "rows=3 macc.a=2,6 generator.leap=8 "
     "generator.draw=8"),
    ("array", "--rows 3 --columns 5", "array.rows=3 array.columns=5"),
    ("array", "--raw --multipliers 2,2 --lfsr-mask 80000EA6",
     "conversions=none multipliers=2,2 generator.mask=0x80000EA6"),
    ("array", "--ternary --a 1,7", "macc.ternary=true macc.a=1,7"),
    ("macc", "--segments 1", "macc.segments=1"),
    ("rounder", "--conversion 20:2,6:stochastic", "conversions=20:2,6:stochastic"),
    ("wage-error", "--rounding stochastic --first-lane 3", "rounding=stochastic first_lane=3"),
    ("wage-shift", "--ceil", "ceil=true"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "settings"), SAME)
def test_a_setting_by_its_name_is_the_same_as_its_option(name, options, settings):
    by_name = " ".join(f"--set {setting}" for setting in settings.split())
    made = configured(name, by_name)[1]
    assert made == configured(name, options)[1] != configured(name)[1]


def test_a_setting_by_its_name_counts_more_than_its_option():
    assert configured("array", "--set rows=3 --rows 5")[1].rows == 3
    assert configured("array", "--set rows=3 --set rows=4")[1].rows == 4


@pytest.mark.parametrize("name", UNITS)
def test_every_setting_has_an_option_with_its_default_and_range(name, command):
    unit = UNITS[name]
    assert configured(name)[1] == unit.config()
    _, out, _ = command("generate", name, "--help")
    text = " ".join(out.split())
    options = {option.opts[0]: option for option in unit.options}
    for leaf in settings.leaves(unit.config):
        option = options.pop(options_of.name(leaf.name))
        assert leaf.setting.text in text
        if leaf.hint is int:
            default = leaf.of(unit.config())
            shown = f" [default: {default}]" if default is not None else ""
            summary = leaf.setting.summary
            if leaf.name.startswith("generator."):
                summary = summary.replace("bits - 1", "lfsr-bits - 1")
            assert f"{option.metavar or option.type.name} {summary}{shown}" in text
    assert set(options) == {"--set", *(["--raw"] if name == "array" else [])}


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    result = gradloom(*["compare", "lfsr", "--leap", "3"], folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_an_interruption_is_no_traceback(command):
    # After the component was elaborated: one that never is leaves a warning to a later test.
    with mock.patch("gradloom.rtl.verilog.readable", side_effect=KeyboardInterrupt):
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
    right = golden.Array.advance

    def advance(self, state, inputs):
        state, outputs = right(self, state, inputs)
        outputs["o_data"][77, 1] ^= 1
        return state, outputs

    with mock.patch.object(golden.Array, "advance", advance):
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


@pytest.mark.parametrize("recipe", ["digits-wage", "digits-gupta", "float-wage-mlp"])
def test_train_prints_an_epoch_a_line(recipe, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command("train", recipe, "--set", "epochs=2", "--set", "network=4FC")
    assert status == 0
    if recipe == "float-wage-mlp":
        assert err.startswith("gradloom: recipe float-wage-mlp is made for MNIST (60,000 images of")
        assert err.endswith("; without --data it is the digits of this package\n")
    else:
        assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith(f"{recipe}: 10 classes, network=4FC ")
    assert lines[1] == "digits: 1,438 images of 8 x 8 x 1 to train with, 359 to test"
    for number, line in enumerate(lines[2:], 1):
        assert re.match(rf"epoch +{number}: loss \d+\.\d+, training error", line)
    assert len(lines) == 4
    assert list(tmp_path.iterdir()) == []


def test_train_leaves_a_folder_that_resumes(command, tmp_path):
    folder = tmp_path / "run"
    arguments = ["train", "digits-gupta", "--set", "epochs=2", "--set", "network=4FC"]
    status, out, _ = command(*arguments, "--out", folder)
    assert status == 0
    assert out.splitlines()[-1].startswith(f"{folder}: checkpoint.npz")
    assert {"recipe.toml", "metrics.csv", "layers.csv"} <= {p.name for p in folder.iterdir()}
    status, out, err = command(*arguments, "--out", folder)
    assert (status, out) == (2, "")
    assert err == f"gradloom: {folder} holds a run: resume it, or take another folder\n"
    whole = (folder / "checkpoint.npz").read_bytes()
    (folder / "checkpoint.npz").write_bytes(whole[:-50])
    status, out, err = command(*arguments, "--out", folder, "--resume")
    assert status == 0
    assert f"{folder}: goes on after epoch 1" in out
    assert re.search(r"checkpoint\.npz: damaged: .*; going on from checkpoint\.previous\.npz", err)
    assert re.search(r"^epoch +2", out, re.M) and not re.search(r"^epoch +1", out, re.M)


def test_train_goes_on_without_matplotlib(command, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = ["--set", "epochs=1", "--set", "network=4FC", "--out", tmp_path / "run"]
    status, out, err = command("train", "digits-gupta", *arguments)
    assert status == 0
    assert err == "gradloom: the plots need matplotlib: pip install 'gradloom[train]'\n"
    assert "metrics.csv" in out and not list(tmp_path.glob("run/*.png"))


def test_train_takes_a_file_that_recipes_prints(command, tmp_path):
    status, text, err = command("recipes", "digits-gupta")
    assert (status, err) == (0, "")
    assert text.startswith("# ")
    (tmp_path / "mine.toml").write_text(text.replace("epochs = 20", "epochs = 1"))
    status, out, err = command("train", tmp_path / "mine.toml", "--set", "network=4FC")
    assert (status, err) == (0, "")
    assert re.match(r"epoch +1: ", out.splitlines()[-1])


def test_recipes_are_listed_a_line_each(command):
    from golden.training import load, toml

    status, out, err = command("recipes")
    assert (status, err) == (0, "")
    for name in toml.names():
        recipe = load(name)
        assert re.search(rf"^ +{name} +{recipe.SYSTEM} +{recipe.network} +\d+ x \d+ *$", out, re.M)
    assert len(out.strip().splitlines()) == len(toml.names()) + 2


def test_output_is_plain_text_where_it_is_piped():
    result = CliRunner().invoke(cli.cli, ["compare", *SMALL])
    assert result.exit_code == 0
    assert "\x1b" not in result.output
