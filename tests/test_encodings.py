"""No file is read or written in the encoding of whatever locale there is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Functions called `open` that read and write bytes.
BINARY = ("os.open", "tarfile.open", "gzip.open")
FILES = [
    path
    for room in ("golden", "hdl", "boards", "gradloom")
    for path in sorted((ROOT / room).rglob("*.py"))
]


def without_encoding(text):
    """Lines of calls that read or write text in an encoding that they do not name."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        named = {word.arg: word.value for word in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if "encoding" in named:
            continue
        if name == "read_text" and not node.args:
            yield node.lineno
        if name == "write_text" and len(node.args) < 2:
            yield node.lineno
        if name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & set(named):
            yield node.lineno
        if name == "open" and ast.unparse(node.func) not in BINARY:
            # The mode: a path's first argument, the function's second. An archive's is a name.
            own = isinstance(node.func, ast.Attribute)
            mode = named.get("mode") or ((*node.args, None, None)[0 if own else 1])
            if mode is None or (isinstance(mode, ast.Constant) and "b" not in str(mode.value)):
                yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_encoding_is_named(path):
    assert not list(without_encoding(path.read_text("utf-8")))


def test_a_call_without_one_is_found():
    text = (
        "p.read_text()\np.write_text(t)\np.open('w')\nopen(p)\nsubprocess.run(c, text=True)\n"
        "p.read_text('utf-8')\np.write_text(t, 'utf-8')\np.open('wb')\nopen(p, encoding='ascii')\n"
        "os.open(p, 0)\nsubprocess.run(c, encoding='utf-8')\np.read_bytes()\n"
    )
    assert list(without_encoding(text)) == [1, 2, 3, 4, 5]
