"""`import gradloom` hands out functions; no module of the same name may come in their place."""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import gradloom


def test_public_names_stay_what_they_are():
    before = {name: getattr(gradloom, name) for name in gradloom.__all__}
    for module in pkgutil.walk_packages(gradloom.__path__, "gradloom."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {name: getattr(gradloom, name) for name in gradloom.__all__} == before
    assert not any(inspect.ismodule(value) for value in before.values())


def test_scripts_have_no_name_of_pythons_own():
    """A script's folder comes first on the path: bench/array.py would be everybody's `array`."""
    scripts = Path(__file__).parent.parent.joinpath("bench").glob("*.py")
    assert not {script.stem for script in scripts} & sys.stdlib_module_names
