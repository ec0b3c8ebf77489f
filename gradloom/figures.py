"""Figures by matplotlib in the style of this package. Equal data give equal files.

matplotlib is imported only when a figure is drawn.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golden import caches
from golden.files import replaced

#: Size of a figure in inches.
WIDTH, HEIGHT = 7.2, 4.2
#: Dots per inch of a PNG.
_DPI = 150

_STYLE: Any = {
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "gradloom",
    "svg.fonttype": "none",
}


class MissingError(Exception):
    """matplotlib is not installed; the message has the command that installs it."""


def needed(what: str) -> None:
    """Raise `MissingError` if matplotlib is missing.

    Parameters
    ----------
    what
        Beginning of the message, as "the plots need".
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingError(f"{what} matplotlib: pip install 'gradloom[train]'")


def saved(path: Path, plot: Callable[[Any], None]) -> Path:
    """Write a figure to a file, PNG or SVG by its ending, without dates and versions.

    Parameters
    ----------
    path
        The file.
    plot
        Draws into a matplotlib Figure of `WIDTH` by `HEIGHT`, and may change its size.
    """
    metadata = dict.fromkeys(("Date", "Creator") if path.suffix == ".svg" else ("Software",))
    with _figure() as figure, replaced(path) as temporary:
        plot(figure)
        figure.savefig(temporary, format=path.suffix[1:], dpi=_DPI, metadata=metadata)
    return path


@contextmanager
def _figure() -> Iterator[Any]:
    """Yield a figure in the style of this package, without a window."""
    caches.home()  # matplotlib keeps its list of fonts there
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        from matplotlib.figure import Figure

        yield Figure(figsize=(WIDTH, HEIGHT))
