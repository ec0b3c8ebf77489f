"""Examples in docstrings print what they say they print."""

import doctest
import gc
import importlib
import pkgutil
from enum import StrEnum

import pytest

import boards
import golden
import golden.training
import gradloom
import hdl

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


PACKAGES = (golden, hdl, gradloom, boards)
#: All modules of the packages but those that run when they are imported.
MODULES = [package.__name__ for package in PACKAGES] + [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] in ("boards", "golden", "gradloom", "hdl"):
            raise
        pytest.skip(f"{error.name} is not installed")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(module, optionflags=OPTIONS)
    gc.collect()  # here, where components that were never used may go without a warning
    assert result.failed == 0


#: Public names without an example.
WITHOUT_EXAMPLE = {
    # Dictionaries and a list, which have no docstrings.
    "gradloom.UNITS",
    "golden.training.SYSTEMS",
    "golden.training.Record",
    # An exception, which Ctrl-C raises.
    "golden.training.Interrupted",
}
NAMES = [
    f"{package.__name__}.{name}"
    for package in (golden, golden.training, hdl, gradloom)
    for name in package.__all__
]


def lacks_example(name):
    module, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(module), attribute)
    if isinstance(value, type) and issubclass(value, StrEnum):  # a list of names, with comments
        return False
    return not doctest.DocTestFinder(recurse=False).find(value, name)[0].examples


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name):
    assert lacks_example(name) == (name in WITHOUT_EXAMPLE)


def test_names_without_an_example_exist():
    assert set(NAMES) >= WITHOUT_EXAMPLE


def test_an_example_that_is_wrong_is_found():
    module = type(doctest)("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    runner = doctest.DocTestRunner(verbose=False)
    (example,) = doctest.DocTestFinder().find(module, "wrong")
    assert runner.run(example, out=lambda text: None).failed == 1
