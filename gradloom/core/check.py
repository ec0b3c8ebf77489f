"""Every write of a core beside what the twin says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.core.config import MOVE_LATENCY
from golden.core.isa import Engine, Store
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.schedule import Span, schedule
from golden.core.twin import STORES, CoreTwin, Writes, joined, sample_writes
from golden.fixed import Codes
from golden.training.step.record import Record
from gradloom.core.machine import Ran, batch_of

#: Clocks from the one that accepts a beat to the write of its words.
_TO_STORE = 1 + MOVE_LATENCY


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first difference in a store.

    Parameters
    ----------
    store
        The store.
    clock
        Clock of the schedule.
    text
        What was expected, and what came.
    task
        The task that writes there at that time; empty if none does.
    """

    store: str
    clock: int
    text: str
    task: str

    def __str__(self) -> str:
        of_task = f", {self.task}" if self.task else ""
        return f"store {self.store}, clock {self.clock}{of_task}: {self.text}"


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
        address = events[f"{store}_to"].astype(np.int64).reshape(len(events), -1)
    else:
        enable = events[f"{store}_write"] != 0
        address = np.where(enable, events[f"{store}_address"], 0).astype(np.int64)
    value = events[f"{store}_value"].astype(np.int64).reshape(len(events), -1)
    if store not in ("s", "k"):
        value = np.where(enable, value, 0)
    return Writes(clock=clock, enable=enable, address=address, value=value)


def differences(
    compiled: Compiled, program: Program, records: Sequence[Record], ran: Ran
) -> Iterator[Difference]:
    """Yield the first difference in each store between a run and its records; none if all agrees.

    Parameters
    ----------
    compiled, program, records, ran
        See `expected`.
    """
    wanted, spans = expected(compiled, program, records, ran)
    for engine in (Engine.ARRAY, Engine.VECTOR):
        clocks = np.array([span.done for span in spans if span.engine is engine], np.int64)
        got = ran.done[engine]
        if not np.array_equal(clocks, got):
            place = _first(clocks, got)
            of_engine = [span for span in spans if span.engine is engine]
            span = of_engine[min(place, len(of_engine) - 1)]
            yield Difference(
                store=f"count of {engine.name.lower()}",
                clock=span.done,
                text=f"{len(clocks)} chunks were expected, {len(got)} came; chunk {place} differs",
                task=f"{span.task.name} of step {span.step}",
            )
    for store, one in wanted.items():
        other = observed(store, ran.events[store])
        if place := _differs(one, other):
            yield _difference(store, one, other, place - 1, spans)


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
    store: str, one: Writes, other: Writes, place: int, spans: Sequence[Span]
) -> Difference:
    """Describe the difference of a write."""

    def text(writes: Writes) -> str:
        if place >= len(writes):
            return "nothing"
        values = [getattr(writes, name)[place].tolist() for name in ("enable", "address", "value")]
        enable, address, value = values
        return f"clock {writes.clock[place]} enable {enable} address {address} value {value}"

    clock = int(min(w.clock[place] for w in (one, other) if place < len(w)))
    running = [span for span in spans if span.start <= clock <= span.done]
    names = ", ".join(
        f"{span.task.name} of step {span.step}, chunk {span.chunk}" for span in running
    )
    return Difference(
        store=store, clock=clock, text=f"expected {text(one)}, got {text(other)}", task=names
    )
