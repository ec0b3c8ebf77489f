"""Files of a user's that hide gradloom's packages: one line names the file and the remedy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: A file in the user's folder, and the package that it hides.
HIDING = {
    "golden.py": "golden",
    "golden/__init__.py": "golden",
    "hdl.py": "hdl",
    "hdl/__init__.py": "hdl",
    "boards.py": "boards",
    "boards/__init__.py": "boards",
}


def python(folder, *arguments, text="", path=""):
    """Run Python in a user's folder, with this tree where an installation would be."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": f"{path}:{ROOT}" if path else str(ROOT)},
        input=text,
        capture_output=True,
        text=True,
    )


def hide(folder, file):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("def model(a, b):\n    return a * b\n")
    return path


def said(path, package):
    return f"{path} hides gradloom's own package {package}: rename it"


@pytest.mark.parametrize(("file", "package"), HIDING.items())
@pytest.mark.parametrize("arguments", [["generate", "lfsr", "-o", "l.v"], ["--help"], ["targets"]])
def test_the_command_names_the_file_in_one_line(arguments, file, package, tmp_path):
    path = hide(tmp_path, file)
    result = python(tmp_path, "-m", "gradloom", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("gradloom: " + said(path, package))
    assert not (tmp_path / "l.v").exists()


@pytest.mark.parametrize(("file", "package"), HIDING.items())
@pytest.mark.parametrize(
    "line", ["import gradloom", "from gradloom import verilog", "import gradloom.units"]
)
def test_an_import_names_the_file(line, file, package, tmp_path):
    path = hide(tmp_path, file)
    result = python(tmp_path, "-c", line)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("ImportError: " + said(path, package))


def test_a_package_that_was_imported_before_is_named_too(tmp_path):
    path = hide(tmp_path, "hdl.py")
    script = f"import sys, hdl\nsys.path.remove({str(tmp_path)!r})\nimport gradloom\n"
    result = python(tmp_path, "-c", f"import sys; sys.path[0] = {str(tmp_path)!r}\n{script}")
    assert result.stderr.splitlines()[-1].startswith("ImportError: " + said(path, "hdl"))


def test_the_script_of_an_installation_says_it_in_one_line(tmp_path):
    path = hide(tmp_path / "mine", "golden.py")
    script = tmp_path / "bin/gradloom"
    script.parent.mkdir()
    script.write_text("import sys\nfrom gradloom.cli import main\nsys.exit(main())\n")
    result = python(tmp_path, str(script), "targets", path=path.parent)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert said(path, "golden") in result.stderr


@pytest.mark.parametrize(
    "file", ["golden/notes.txt", "boards/x.py", "model.py", "gold/__init__.py"]
)
def test_other_files_are_in_nobodys_way(file, tmp_path):
    """A folder without __init__.py hides no package that has one."""
    hide(tmp_path, file)
    assert python(tmp_path, "-m", "gradloom", "targets").returncode == 0
    assert python(tmp_path, "-c", "import gradloom, golden, boards.target").returncode == 0


def test_the_folder_of_the_repository_hides_nothing():
    assert python(ROOT, "-c", "import gradloom").returncode == 0


def test_a_link_to_the_tree_is_the_tree(tmp_path):
    (tmp_path / "link").symlink_to(ROOT)
    assert python(tmp_path, "-c", "import gradloom", path=tmp_path / "link").returncode == 0
