"""Lower bounds of dependencies: each one is declared, listed, and enough."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOWEST = ROOT / "constraints-lowest.txt"
#: Not installed: torch takes some gigabytes, and is only what the tests hold layers against.
LARGE = {"torch"}


def requirements():
    """All requirements of the project, of its extras and of its build."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = found["project"]
    texts = [*found["build-system"]["requires"], *project["dependencies"]]
    texts += [text for extra in project["optional-dependencies"].values() for text in extra]
    return [one for one in map(Requirement, texts) if one.name != project["name"]]


def pins(path):
    """Version by name in a file of constraints."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {
        name.lower().replace("_", "-"): Version(v) for name, v in (x.split("==") for x in lines)
    }


def test_every_requirement_has_its_lower_bound_in_the_list():
    bounds = {}
    for one in requirements():
        lower = [s.version for s in one.specifier if s.operator in (">=", "~=")]
        assert len(lower) == 1, f"{one}: one lower bound is wanted"
        assert bounds.setdefault(one.name.lower(), Version(lower[0])) == Version(lower[0]), one
    assert pins(LOWEST) == bounds


def test_the_usual_versions_are_admitted():
    """Those of `make`, which all other tests run with."""
    usual = pins(ROOT / "constraints.txt")
    for one in requirements():
        if one.name.lower() in usual:  # others are of the build, or large
            assert one.specifier.contains(usual[one.name.lower()]), one


@pytest.fixture
def cocotb_of(tmp_path):
    """Write a package cocotb of some version; returns what importing the scoreboard says."""

    def said(version):
        (tmp_path / "cocotb").mkdir(exist_ok=True)
        (tmp_path / "cocotb/__init__.py").write_text(f"__version__ = {version!r}\n")
        return subprocess.run(
            [sys.executable, "-c", "from gradloom.cocotb import Scoreboard"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            capture_output=True,
            text=True,
        )

    return said


@pytest.mark.parametrize("version", ["1.9.2", "1.8.0", "0.4"])
def test_cocotb_1_is_refused_by_its_version(version, cocotb_of):
    done = cocotb_of(version)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: gradloom.cocotb needs cocotb 2, {version} is installed: "
        "pip install 'gradloom[cocotb]'"
    )
    assert done.stderr.count("Traceback") == 1


#: Tests of what the dependencies are used for. Building for a device takes long the first time,
#: for the tools are compiled then.
TOUCHED = [
    "tests/cli/test_cli.py",
    "tests/datasets",
    "tests/test_threads.py",
    "tests/training/test_recipes.py",
    "tests/train/test_fetch.py",
    "tests/core/test_timetable.py",
    "tests/train/test_plots.py",
    "tests/train/test_jobs.py",
    "tests/comparison/test_waveform.py",
    "tests/comparison/test_cocotb.py",
    "tests/rtl/test_package.py::test_fusesoc_runs_it",
    "tests/test_fixed_reference.py",
    "tests/boards/test_build.py::test_an_lfsr_is_built",
]


@pytest.mark.long
def test_the_lowest_versions_work_together(tmp_path):
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--timeout", "20"]
    environment = {**os.environ, "PIP_CONSTRAINT": LOWEST.as_uri()}  # for the build too
    probe = [*pip, "download", "--no-cache-dir", "--no-deps", "--dest", tmp_path, "tomli-w"]
    if subprocess.run([*probe, "--retries", "1"], env=environment, capture_output=True).returncode:
        pytest.skip("PyPI cannot be reached")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    wanted = f"{ROOT}[{','.join(sorted(set(extras) - LARGE))}]"
    subprocess.run([*pip, "install", "--quiet", wanted], env=environment, check=True, timeout=900)

    listed = subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout
    installed = dict(re.findall(r"^([\w.-]+)==(\S+)$", listed.replace("_", "-").lower(), re.M))
    for name, version in pins(LOWEST).items():
        if name not in LARGE | {"hatchling"}:  # the build has an environment of its own
            assert Version(installed[name]) == version, name

    done = subprocess.run(
        # Old versions warn of newer ones of their own dependencies.
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
        + TOUCHED,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-5000:]
