"""Every write of a core beside what the twin says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.core.beats import batch_of, scores_of
from golden.core.config import MOVE_LATENCY
from golden.core.isa import Engine, Store
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.schedule import Span, schedule
from golden.core.twin import MASKS, STORES, SUMS, CoreTwin, Writes, joined, sample_writes
from golden.fixed import Codes
from golden.order import blocks
from golden.training.step.ops import OutputError
from golden.training.step.record import Record
from gradloom.core.ran import Ran
from gradloom.core.where import place_of, running

#: Clocks from the one that accepts a beat to the write of its words.
_TO_STORE = 1 + MOVE_LATENCY


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first difference in a store.

    Parameters
    ----------
    store
        The store, or what else differs.
    clock
        Clock of the schedule.
    text
        What was expected, and what came.
    where
        Step, operation, and row and column of the tensor; empty if it is of none.
    word
        Bank and address.
    """

    store: str
    clock: int
    text: str
    where: str
    word: str = ""

    def __str__(self) -> str:
        place = ", ".join(filter(None, (f"store {self.store}", self.word, f"clock {self.clock}")))
        if not self.word:
            place = f"{self.store}, clock {self.clock}"
        return f"{self.where or 'no tensor'} ({place}): {self.text}"


def expected(
    compiled: Compiled, program: Program, records: Sequence[Record], ran: Ran
) -> tuple[dict[str, Writes], list[Span]]:
    """Return all writes of a run by store, and its chunks.

    The times of the input beats are taken from the run: they are the source's. Everything else
    follows from the records.

    Parameters
    ----------
    compiled, program
        The network and the program.
    records
        The trainer's record of each step.
    ran
        The run.
    """
    config, placed = compiled.config, compiled.layout
    twin = CoreTwin(config, placed)
    movers = {engine: ran.done[engine].tolist() for engine in (Engine.IN, Engine.OUT)}
    spans = list(schedule(config, program, len(records), movers))
    found: dict[str, list[Writes]] = {store: [_none(compiled, store)] for store in STORES}
    for span in spans:
        for store, writes in twin.writes(span, records[span.step]).items():
            found[store].append(writes)
    passed = joined(found["x"])
    found["x"].append(_samples(compiled, records, ran.events["in"]["clock"], passed.clock))
    return {store: joined(parts) for store, parts in found.items()}, spans


def _none(compiled: Compiled, store: str) -> Writes:
    """Return no writes into a store."""
    config = compiled.config
    banked = store in {each.name.lower() for each in Store}
    banks = config.banks if banked else 1
    width = {"s": config.columns, "k": 2 * config.columns}.get(store, config.banks)
    return Writes(
        clock=np.zeros(0, np.int64),
        enable=np.zeros((0, banks), np.bool_),
        address=np.zeros((0, banks), np.int64),
        value=np.zeros((0, width), np.int64),
    )


def _samples(
    compiled: Compiled, records: Sequence[Record], accepted: Codes, passes: Codes
) -> Writes:
    """Return the writes of the samples.

    Parameters
    ----------
    compiled, records
        See `expected`.
    accepted
        Clocks in which beats were accepted.
    passes
        Clocks in which a pass writes into the same store: a mover's words wait then.
    """
    placed, batch = compiled.layout, compiled.recipe.batch
    first = placed.x[0]
    beats = -(-first.columns // first.banks)
    clocks = accepted.reshape(len(records), batch, beats + 1)[:, :, :beats]
    taken = set(passes.tolist())
    parts = [_none(compiled, "x")]
    before = -1
    for step, record in enumerate(records):
        values, _ = batch_of(record)
        written = []
        for clock in clocks[step].ravel().tolist():
            at = max(clock + _TO_STORE, before + 1)
            while at in taken:
                at += 1
            written.append(at)
            before = at
        row, beat = np.indices((batch, beats))
        words = placed.second if step % 2 else first
        parts.append(sample_writes(words, np.array(written), row.ravel(), beat.ravel(), values))
    return joined(parts)


def observed(store: str, events: NDArray[np.void]) -> Writes:
    """Return the writes that a run has recorded."""
    clock = events["clock"].astype(np.int64)
    if store in ("s", "k"):
        enable = np.ones((len(events), 1), np.bool_)
        address = events[f"{store}_to"].astype(np.int64)[:, None]
    else:
        enable = events[f"{store}_write"] != 0
        address = np.where(enable, events[f"{store}_address"], 0).astype(np.int64)
    value = events[f"{store}_value"].astype(np.int64)
    if store not in ("s", "k"):
        value = np.where(enable, value, 0)
    return Writes(clock=clock, enable=enable, address=address, value=value)


def differences(
    compiled: Compiled, program: Program, records: Sequence[Record], ran: Ran
) -> list[Difference]:
    """Return the first difference in each store between a run and its records, the earliest first.

    Parameters
    ----------
    compiled, program, records, ran
        See `expected`.

    Returns
    -------
    list of Difference
        Empty if all agrees.
    """
    wanted, spans = expected(compiled, program, records, ran)
    found = []
    for engine in (Engine.ARRAY, Engine.VECTOR):
        of_engine = [span for span in spans if span.engine is engine]
        clocks, got = np.array([span.done for span in of_engine], np.int64), ran.done[engine]
        if not np.array_equal(clocks, got):
            place = _first(clocks, got)
            span = of_engine[min(place, len(of_engine) - 1)]
            came = f"it was at {got[place]}" if place < len(got) else "it did not come"
            found.append(
                Difference(
                    store=f"chunks of the {engine.name.lower()} engine",
                    clock=span.done,
                    text=f"the last write of chunk {span.chunk} was expected at this clock, {came}",
                    where=f"step {span.step}, {span.task.name}",
                )
            )
    for store, one in wanted.items():
        other = observed(store, ran.events[store])
        if place := _differs(one, other):
            found.append(_difference(compiled, store, one, other, place - 1, spans))
    found += _scores(compiled, program, records, ran)
    return sorted(found, key=lambda difference: difference.clock)


def _scores(
    compiled: Compiled, program: Program, records: Sequence[Record], ran: Ran
) -> list[Difference]:
    """Return the first difference in the scores that a program carries out."""
    if not program[Engine.OUT]:
        return []
    columns = compiled.config.columns
    wanted = np.concatenate(
        [
            entry.tensors["outputs"].astype(np.int64)
            for record in records
            for entry in record
            if isinstance(entry.operation, OutputError)
        ]
    )
    beats = ran.events["out"]
    per_row = blocks(compiled.classes, columns)
    got = scores_of(compiled, beats)
    rows = len(got)
    if len(beats) == len(wanted) * per_row and np.array_equal(wanted, got):
        return []
    same = min(len(wanted), rows)
    unequal = np.argwhere(wanted[:same] != got[:same])
    row, column = unequal[0].tolist() if len(unequal) else (same, 0)
    clocks = beats["clock"]
    at = row * per_row + column // columns
    came = f"got {got[row, column]}" if row < rows else f"{len(beats)} beats came"
    asked = f"expected {wanted[row, column]}" if row < len(wanted) else "no beat was expected"
    step, sample = divmod(row, compiled.recipe.batch)
    return [
        Difference(
            store="output stream",
            clock=int(clocks[at]) if at < len(clocks) else int(clocks.max(initial=0)),
            text=f"{asked}, {came}",
            where=f"step {step}, scores, row {sample}, column {column}",
        )
    ]


def _first(one: Codes, other: Codes) -> int:
    """Return the first place at which two sequences differ."""
    length = min(len(one), len(other))
    unequal = np.flatnonzero(one[:length] != other[:length])
    return int(unequal[0]) if len(unequal) else length


def _differs(one: Writes, other: Writes) -> int:
    """Return the number of the first write that differs, counted from 1; 0 if there is none."""
    length = min(len(one), len(other))
    unequal = one.clock[:length] != other.clock[:length]
    for name in ("enable", "address", "value"):
        left, right = getattr(one, name)[:length], getattr(other, name)[:length]
        unequal = unequal | (left != right).any(axis=1)
    places = np.flatnonzero(unequal)
    if len(places):
        return int(places[0]) + 1
    return 0 if len(one) == len(other) else length + 1


def _difference(
    compiled: Compiled, store: str, one: Writes, other: Writes, place: int, spans: Sequence[Span]
) -> Difference:
    """Describe the difference of a write."""
    wanted, got = (
        writes.part(np.arange(len(writes)) == place) if place < len(writes) else None
        for writes in (one, other)
    )
    if wanted is not None and got is not None and wanted.clock[0] != got.clock[0]:
        # One of the two has no counterpart in its clock.
        wanted, got = (wanted, None) if wanted.clock[0] < got.clock[0] else (None, got)
    shown = wanted if wanted is not None else got
    assert shown is not None
    rows, lane = store in (SUMS, MASKS), 0
    if wanted is None or got is None:
        lane = int(np.flatnonzero(shown.enable[0])[0])
    else:
        for name in ("enable", "address", "value"):
            unequal = np.flatnonzero(getattr(wanted, name)[0] != getattr(got, name)[0])
            if len(unequal):
                lane = int(unequal[0])
                break
        if not wanted.enable[0, 0 if rows else lane]:
            shown = got
    bank = 0 if rows else lane
    address, clock = int(shown.address[0, bank]), int(shown.clock[0])
    found = place_of(compiled, store, bank, address, lane, running(spans, clock))

    def said(writes: Writes | None) -> str:
        if writes is None or not writes.enable[0, bank]:
            return "nothing"
        elsewhere = int(writes.address[0, bank]) != address
        at = f" at address {writes.address[0, bank]}" if elsewhere else ""
        return f"{writes.value[0, lane]}{at}"

    return Difference(
        store=store,
        clock=clock,
        text=f"expected {said(wanted)}, got {said(got)}",
        where="" if found is None else str(found),
        word=f"row {address}, lane {lane}" if rows else f"bank {bank}, address {address}",
    )
