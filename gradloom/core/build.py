"""The training core as something that can be built for a device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring

from golden.core.lower import Compiled
from golden.core.schedule import predict
from gradloom.core.estimate import utilisation
from hdl.core.core import Core


@dataclass(frozen=True)
class CoreDesign:
    """The core for `gradloom.fpga.build`: see `gradloom.fpga.Buildable`."""

    name: str = "core"
    module: str = "gradloom_core"
    component: Callable[..., wiring.Component] = Core
    has_cells: bool = True


def training(compiled: Compiled) -> dict[str, Any]:
    """Return what a report says of a network's steps: `network`, `clocks` and `utilisation`.

    Parameters
    ----------
    compiled
        The network.

    Returns
    -------
    dict
        The network in words, clocks of a step in the steady state, the useful part of the clocks
        of all multipliers, and the samples of a step.
    """
    clocks, _ = predict(compiled.config, compiled.train)
    return {
        "network": compiled.recipe.network,
        "clocks": clocks,
        "utilisation": round(utilisation(compiled, clocks), 4),
        "samples": compiled.recipe.batch,
    }
