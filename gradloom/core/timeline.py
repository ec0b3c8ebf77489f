"""A timetable of the engines as a Chrome trace, which Perfetto and other viewers open."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from golden.core.isa import Engine
from golden.core.schedule import Span
from golden.files import replaced


def trace(spans: Iterable[Span]) -> dict[str, Any]:
    """Return chunks as a trace; a clock is a microsecond.

    Every engine is a thread. A chunk lasts while its operands, vectors or beats are issued; before
    it stands what it waited for.

    Parameters
    ----------
    spans
        The chunks.
    """
    events: list[dict[str, Any]] = [
        {
            "name": "thread_name",
            "ph": "M",
            "pid": 1,
            "tid": int(engine),
            "args": {"name": engine.name.lower()},
        }
        for engine in Engine
    ]
    for span in spans:
        thread = {"ph": "X", "pid": 1, "tid": int(span.engine)}
        if span.waited is not None and span.start > span.free:
            events.append(
                {
                    "name": f"waits for {span.waited.name.lower()}",
                    "cat": "wait",
                    "ts": span.free,
                    "dur": span.start - span.free,
                    **thread,
                }
            )
        events.append(
            {
                "name": span.task.name,
                "cat": "chunk",
                "ts": span.start,
                "dur": span.end - span.start,
                "args": {"step": span.step, "chunk": span.chunk, "last write": span.done},
                **thread,
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def write(path: Path, spans: Iterable[Span]) -> None:
    """Write a trace as a file."""
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(trace(spans)) + "\n", encoding="utf-8")
