"""Which steps of a run were carried out by what: by golden, or by hardware in a simulation.

All give the same results to the bit, and a run may change from one to the other at any step. A run
that golden alone carries out has no record of it.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from golden import check
from golden.files import replaced
from golden.training.runs.score import Epoch

#: Name of the file in a run's folder.
BACKENDS = "backends.csv"
#: The backend of all steps without a record.
GOLDEN = "golden"

_COLUMNS = ("epoch", "first_step", "last_step", "backend")
_MANY = 1 << 40


@dataclass(frozen=True)
class Stretch:
    """Steps that follow each other in an epoch.

    Parameters
    ----------
    epoch
        The epoch, counted from 1.
    first, last
        First and last step, counted from 1.
    backend
        What carried them out.
    """

    epoch: int
    first: int
    last: int
    backend: str


def extended(
    stretches: Sequence[Stretch], epoch: int, step: int, backend: str
) -> tuple[Stretch, ...]:
    """Return stretches with one more step.

    Examples
    --------
    >>> one = extended((), 1, 1, "golden")
    >>> extended(extended(one, 1, 2, "golden"), 1, 3, "simulation")[-1]
    Stretch(epoch=1, first=3, last=3, backend='simulation')
    """
    if stretches:
        *before, last = stretches
        if (last.epoch, last.last + 1, last.backend) == (epoch, step, backend):
            return (*before, replace(last, last=step))
    return (*stretches, Stretch(epoch, step, step, backend))


def read(folder: Path, history: Sequence[Epoch], position: int, batch: int) -> tuple[Stretch, ...]:
    """Return the stretches of a run up to its checkpoint.

    Parameters
    ----------
    folder
        The run's folder. Without a record in it, golden has carried out all steps.
    history
        Reports of all complete epochs.
    position
        Complete steps of the current epoch.
    batch
        Images of a step.

    Raises
    ------
    ValueError
        The record cannot be read.
    """
    steps = [epoch.train.images // batch for epoch in history] + [position]
    path = folder / BACKENDS
    if not path.exists():
        return tuple(Stretch(n, 1, last, GOLDEN) for n, last in enumerate(steps, 1) if last)
    found = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch, first, last = (
                    check.whole(name, int(row[name]), 1, _MANY) for name in _COLUMNS[:3]
                )
                # The record is written before the checkpoint, and may be ahead of it.
                if epoch <= len(steps) and first <= steps[epoch - 1]:
                    found.append(Stretch(epoch, first, min(last, steps[epoch - 1]), row["backend"]))
    except (*check.FOREIGN, csv.Error) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: no record of backends: {reason}") from None
    return tuple(found)


def write(folder: Path, stretches: Sequence[Stretch]) -> None:
    """Write the record, if there is another backend than golden in it; otherwise remove it."""
    path = folder / BACKENDS
    if all(stretch.backend == GOLDEN for stretch in stretches):
        path.unlink(missing_ok=True)
        return
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((s.epoch, s.first, s.last, s.backend) for s in stretches)
