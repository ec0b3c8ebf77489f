"""Units that are broken on purpose: copies of modules in which a text is replaced."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import golden
import hdl.cells.base
import hdl.cells.generic
import hdl.pipeline


def mutated(module, *changes):
    """A copy of `module` in which each text is replaced by another; it must be there just once."""
    source = Path(module.__file__).read_text()
    for before, after in changes:
        assert source.count(before) == 1, (
            f"{source.count(before)} times in {module.__name__}: {before}"
        )
        source = source.replace(before, after)
    copy = ModuleType(module.__name__)
    exec(compile(source, module.__file__, "exec"), copy.__dict__)
    return copy


@dataclass(frozen=True)
class Mutant:
    """A unit, what is changed in it, and in which configuration it shows."""

    name: str
    unit: str
    changes: tuple
    config: Any
    module: ModuleType
    inputs: dict = field(default_factory=dict)

    def component(self):
        copy = mutated(self.module, *self.changes)
        if self.module is hdl.cells.generic:
            return getattr(hdl, self.unit)(self.config, cells=copy.Generic())
        if self.module is hdl.cells.base:
            cells = type("Mutant", (hdl.cells.Generic,), {"ternary": copy.Cells.ternary})
            return getattr(hdl, self.unit)(self.config, cells=cells())
        if self.module is hdl.pipeline:
            unit = getattr(hdl, self.unit)
            return type("Mutant", (unit,), {"elaborate": copy.Streamed.elaborate})(self.config)
        home = sys.modules[getattr(hdl, self.unit).__module__]
        if self.module is not home:
            # A part: a copy of the unit's module, with the part's functions in it replaced.
            part, copy = copy, mutated(home)
            for name, value in vars(part).items():
                if hasattr(copy, name) and getattr(value, "__module__", "") == part.__name__:
                    setattr(copy, name, value)
        return getattr(copy, self.unit)(self.config)

    def original(self):
        return getattr(hdl, self.unit)(self.config)

    def twin(self):
        return getattr(golden, self.unit)(self.config)
