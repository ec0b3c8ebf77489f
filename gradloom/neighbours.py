"""The packages beside this one, which a user's own files can hide."""

import os
import sys
from importlib.util import find_spec

#: Packages in the same folder as `gradloom`.
_PACKAGES = ("golden", "hdl", "boards")


def hidden() -> str | None:
    """Return one line that names a file of a user's in the way of gradloom's packages, and the
    remedy; None if there is none.
    """
    home = os.path.dirname(os.path.dirname(__file__))
    for name in _PACKAGES:
        if name in sys.modules:
            found = getattr(sys.modules[name], "__file__", None)
        else:
            found = getattr(find_spec(name), "origin", None)
        ours = os.path.join(home, name, "__init__.py")
        if found and os.path.realpath(found) != os.path.realpath(ours):
            return (
                f"{found} hides gradloom's own package {name}: rename it, or keep its folder off "
                "Python's path (run elsewhere, or mind PYTHONPATH)"
            )
    return None
