"""Examples in docstrings print what they say they print."""

import doctest
import gc
import importlib
import pkgutil

import pytest

import boards
import golden
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


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (package, name)
        for package in (hdl, gradloom)
        for name in package.__all__
        if name != "UNITS"  # a dictionary: the class of its entries has an example
    ],
)
def test_every_exported_name_has_an_example(package, name):
    assert doctest.DocTestFinder(recurse=False).find(getattr(package, name), name)[0].examples


def test_an_example_that_is_wrong_is_found():
    module = type(doctest)("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    runner = doctest.DocTestRunner(verbose=False)
    (example,) = doctest.DocTestFinder().find(module, "wrong")
    assert runner.run(example, out=lambda text: None).failed == 1
