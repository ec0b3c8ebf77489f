"""`import gradloom` hands out functions; no module of the same name may come in their place."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gradloom
import hdl


def test_public_names_stay_what_they_are():
    before = {name: getattr(gradloom, name) for name in gradloom.__all__}
    for module in pkgutil.walk_packages(gradloom.__path__, "gradloom."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {name: getattr(gradloom, name) for name in gradloom.__all__} == before
    assert not any(inspect.ismodule(value) for value in before.values())


def test_the_face_hands_out_the_units_and_what_its_types_name():
    tree = ast.parse(Path(gradloom.__file__).read_text())
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for each in node.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    assert typed == set(gradloom.__all__) >= set(hdl.__all__)
    assert all(getattr(gradloom, name) is getattr(hdl, name) for name in hdl.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Adder'"):
        gradloom.Adder  # noqa: B018  (it is asked for)


def test_the_face_imports_nothing_before_it_is_used():
    script = "import gradloom, sys; print(*sys.modules); gradloom.Lfsr; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not before & {"amaranth", "numpy", "golden", "hdl"}
    assert {"amaranth", "golden", "hdl"} <= after


def test_scripts_have_no_name_of_pythons_own():
    """A script's folder comes first on the path: bench/array.py would be everybody's `array`."""
    scripts = Path(__file__).parent.parent.joinpath("bench").glob("*.py")
    assert not {script.stem for script in scripts} & sys.stdlib_module_names
