"""The arrows between the rooms, read from every import of the tree: nothing looks back, no circle.

Imports inside functions count as well: they are only later, not elsewhere.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: A package may import itself and those to its left.
ORDER = ("golden", "hdl", "boards", "gradloom")
#: Folders that may look at everything, and that nothing looks at.
VIEWERS = ("tests", "bench", "docs")


def modules_of(root):
    """Path of every module of the packages, by its dotted name."""
    found = {}
    for package in ORDER:
        for path in sorted(root.joinpath(package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(path):
    return ast.parse(path.read_text())


def imports_of(path, name):
    """Dotted names that a module imports, and the lines: `from a import b` gives both a and a.b."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (), node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            above = ".".join(base) if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            yield source, tuple(alias.name for alias in node.names), node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            (first, *_) = node.args
            if isinstance(first, ast.Constant):
                yield first.value, (), node.lineno


def graph_of(root):
    """For every module: the modules of the tree that it imports, each with a line that does."""
    modules = modules_of(root)
    graph = {name: {} for name in modules}
    for name, path in modules.items():
        for source, names, line in imports_of(path, name):
            inner = {f"{source}.{each}" for each in names} & modules.keys()
            # The package itself too, where anything else is taken from it.
            targets = inner if names and len(inner) == len(set(names)) else inner | {source}
            for target in targets & modules.keys():
                graph[name].setdefault(target, line)
    return graph


def looking_back(root):
    """Imports against the arrows, and those of folders that nothing may look at, as texts."""
    found = []
    for name, path in modules_of(root).items():
        own = ORDER.index(name.partition(".")[0])
        for source, _, line in imports_of(path, name):
            first = source.partition(".")[0]
            back = first in ORDER and ORDER.index(first) > own
            if back or first in VIEWERS or (own == 0 and first.startswith("amaranth")):
                found.append(f"{path.relative_to(root)}:{line} imports {source}")
    return found


def circles(graph):
    """Groups of modules that import each other, each in order (Tarjan's algorithm)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1 or name in graph[name]:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_arrows_run_one_way():
    assert not looking_back(ROOT)


def test_no_modules_import_each_other():
    assert not circles(graph_of(ROOT))


#: What the rooms and tables of boards/ may import of boards/, beside themselves.
BOARDS = {
    "places": set(),
    "device": {"places"},
    "target": {"device"},
    "flow": {"device", "target"},
    "link": set(),
    "rom": set(),
    "board": {"device", "flow", "selftest", "trainer"},
    "bitstream": {"board", "flow"},
    "pins": {"board"},
    "own": {"board", "device", "flow", "selftest", "trainer"},
    "selftest": {"bitstream", "board", "device", "flow", "link", "pins", "rom"},
    "shifts": set(),
    "hosted": {"bitstream", "board", "link", "pins", "shifts"},
    "trainer": {"bitstream", "board", "device", "flow", "link", "pins", "rom", "shifts"},
}


def test_rooms_of_boards_keep_their_arrows():
    for name, targets in graph_of(ROOT).items():
        if name.startswith("boards."):
            room = name.split(".")[1]
            taken = {target.split(".")[1] for target in targets if target.startswith("boards.")}
            assert taken - {room} <= BOARDS[room], name


def test_every_package_is_seen():
    modules = modules_of(ROOT)
    for package in ORDER:
        assert sum(name.partition(".")[0] == package for name in modules) > 10
    graph = graph_of(ROOT)
    # One import of each kind: of a name, of a module, and inside a function.
    assert "golden.lfsr" in graph["hdl.lfsr"]
    assert "boards.flow.cache" in graph["boards.flow.yosys"]
    assert "boards.target" in graph["gradloom.cli.build"]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("golden/a.py", "from amaranth.hdl import Signal\n", "golden/a.py:1 imports amaranth.hdl"),
        ("golden/a.py", "def f():\n    import hdl.b\n", "golden/a.py:2 imports hdl.b"),
        ("hdl/b.py", "from importlib import import_module as x\nx\nimport boards\n", "hdl/b.py:3"),
        ("boards/room/c.py", "from gradloom import jobs\n", "boards/room/c.py:1 imports gradloom"),
        ("hdl/b.py", "import importlib\nimportlib.import_module('gradloom')\n", "hdl/b.py:2"),
        ("gradloom/d.py", "from tests.support import x\n", "gradloom/d.py:1 imports tests.support"),
    ],
)
def test_a_look_back_is_found(file, text, told, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = looking_back(tmp_path)
    assert found.startswith(told)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from hdl import b\n", "import hdl.a\n"),
        ("from hdl.b import x\n", "def f():\n    from .a import y\n"),
        ("import hdl\n", ""),  # __init__ imports it
        ("from . import b, x\n", ""),
    ],
)
def test_a_circle_is_found(first, second, tmp_path):
    (tmp_path / "hdl").mkdir()
    (tmp_path / "hdl/__init__.py").write_text("from hdl.a import x\n")
    (tmp_path / "hdl/a.py").write_text(first)
    (tmp_path / "hdl/b.py").write_text(second)
    assert len(circles(graph_of(tmp_path))) == 1
    (tmp_path / "hdl/a.py").write_text("")
    parsed.cache_clear()
    assert not circles(graph_of(tmp_path))


def test_the_page_names_every_room():
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.parent.name for package in ORDER for path in ROOT.glob(f"{package}/**/*.py")}
    assert not {room for room in rooms if f"{room}/" not in page}
