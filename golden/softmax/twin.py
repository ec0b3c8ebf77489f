"""Softmax on streams: a sample's outputs in, its errors out, one per clock."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.buffer import Queue, Schedule, drawn, schedule, show
from golden.fixed import Codes
from golden.lfsr import Lanes, Words
from golden.port import completed, inputs_of
from golden.rounder import choose
from golden.softmax.config import SoftmaxConfig
from golden.softmax.integers import FRACTION, softmax
from golden.softmax.samples import controls, samples
from golden.twin import Trace, Twin, frozen


@dataclass(frozen=True, eq=False)
class SoftmaxState:
    """State of the twin of `hdl.Softmax`.

    Parameters
    ----------
    queue
        Errors that have not left.
    outputs
        Outputs of the incomplete sample, (outputs,).
    lanes
        Random words of the next samples; None without stochastic rounding.
    """

    queue: Queue
    outputs: Codes
    lanes: Lanes | None


class Softmax(Twin[SoftmaxState]):
    """Twin of `hdl.Softmax`: input stream `i` (`data`, `label`); output stream `o` (`data`,
    `probability`, `last`).

    Parameters
    ----------
    config
        Classes, formats, rounding and generators.

    Examples
    --------
    >>> from golden import Rounding
    >>> config = SoftmaxConfig(classes=2, rounding=Rounding.NEAREST_EVEN)
    >>> twin, clock = Softmax(config), np.arange(42)
    >>> operands = {"i_data": np.where(clock == 0, 1024, 0), "i_label": np.zeros(42, int)}
    >>> trace = twin.run({"i_valid": clock < 2, **operands, "o_ready": np.ones(42, int)})
    >>> trace["o_valid"].nonzero()[0].tolist()  # 39 clocks after the last output
    [40, 41]
    >>> trace["o_probability"][-2:].tolist(), trace["o_data"][-2:].tolist()
    ([47908, 17627], [-4407, 4407])
    """

    def __init__(self, config: SoftmaxConfig):
        check.instance("config", config, SoftmaxConfig)
        self.config = config
        self.ports = config.ports
        lanes = config.lfsr.start() if config.stochastic else None
        self._initial = SoftmaxState(Queue(), frozen(np.zeros(0, np.int64)), lanes)

    def initial(self) -> SoftmaxState:
        """Return the reset state."""
        return self._initial

    def stretch(self, state: SoftmaxState, inputs: Trace) -> tuple[SoftmaxState, Trace]:
        """See `Twin`."""
        classes = self.config.classes
        valid = inputs["i_valid"] != 0
        times = self._times(state, valid, inputs["o_ready"] != 0)
        # Outputs of the sample before each clock, also those that wait, as its last one does.
        offered = np.concatenate([[0], np.cumsum(valid)])
        begins = np.concatenate([[0], times.claims + 1])
        number = np.searchsorted(begins, np.arange(len(valid)), side="right") - 1
        before = offered[:-1] - offered[begins[number]] + np.where(number, 0, len(state.outputs))
        ready = (before < classes - 1) | times.ready

        outputs = np.concatenate([state.outputs, inputs["i_data"][valid & ready]])
        whole = len(times.claims) * classes
        lanes, words = drawn(state.lanes, len(times.claims) * self.config.draws)
        labels = inputs["i_label"][times.claims]
        results = self._results(outputs[:whole].reshape(-1, classes), labels, words)
        queue, shown = show(state.queue, times, results)
        after = SoftmaxState(queue, frozen(outputs[whole:]), lanes)
        return after, {"i_ready": ready.astype(np.int64), **shown}

    def _times(
        self, state: SoftmaxState, valid: NDArray[np.bool_], taken: NDArray[np.bool_]
    ) -> Schedule:
        """Return the schedule: a sample's last output claims the places of all its errors.

        It goes from sample to sample, as each of them may have to wait for places.
        """
        config, clocks = self.config, len(valid)
        size = {"latency": config.latency, "depth": config.buffer, "rows": config.classes}
        offers = np.flatnonzero(valid).tolist()
        takes = [*np.flatnonzero(taken).tolist(), clocks]
        # Clock at which each error leaves, or the end of the stretch; one leaves at each take.
        leaves: list[int] = []
        take = 0

        def leave(arrives: int) -> None:
            nonlocal take
            take = min(bisect_left(takes, arrives, take), len(takes) - 1)
            leaves.append(takes[take])
            take = min(take + 1, len(takes) - 1)

        for arrival in state.queue.arrivals.tolist():
            leave(arrival)
        claims = np.zeros(clocks, np.bool_)
        at = config.classes - 1 - len(state.outputs)
        while at < len(offers):
            displaced = len(leaves) + config.classes - 1 - config.buffer
            free = leaves[displaced] + 1 if displaced >= 0 else 0
            at = bisect_left(offers, free, at)
            if at == len(offers):
                break
            claims[offers[at]] = True
            for row in range(config.classes):
                leave(offers[at] + config.latency + row)
            at += config.classes
        return schedule(state.queue, claims, taken, **size)

    def _results(self, outputs: Codes, labels: Codes, words: Words) -> Trace:
        """Return the errors of samples.

        Parameters
        ----------
        outputs
            Outputs, (samples, classes).
        labels
            Right classes, (samples,).
        words
            Random words, (samples times draws, generators); without generators zeros, and one
            column.
        """
        config = self.config
        count, classes = outputs.shape
        probability = softmax(outputs, config.outputs.fl)
        right = np.arange(classes) == labels[:, None]
        z = (probability - (right.astype(np.int64) << FRACTION)).reshape(-1, 1)
        if config.stochastic:
            words = words.reshape(count, config.draws * config.lanes)[:, :classes].reshape(-1, 1)
        else:
            words = np.zeros((1, 1), np.uint16)
        data = choose(config.rounder.conversions, None, z, words, config.generator.draw)
        return {
            "data": data.ravel(),
            "probability": probability.ravel(),
            "last": np.tile((np.arange(classes) == classes - 1).astype(np.int64), count),
        }

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return samples of many kinds, with gaps, stalls and resets. All inputs are allowed, but
        random outputs would seldom have equal maxima, or exponentials other than 0.
        """
        config = self.config
        inputs = completed(inputs_of(config.ports), controls(rng, config, clocks), clocks)
        accepted = inputs["i_valid"] & self.run(inputs)["i_ready"]
        # A sample begins anew after a reset.
        since = np.concatenate([[0], np.cumsum(inputs["rst"])[:-1]])
        taken = np.flatnonzero(accepted)
        span = since[taken]
        first = np.searchsorted(span, span)
        output = (np.arange(len(taken)) - first) % config.classes
        begun = np.cumsum((output == 0).astype(np.int64)) - 1
        outputs, labels = samples(rng, config, int(begun.max(initial=-1)) + 1)
        data, label = (port for port in config.ports if port.name in ("i_data", "i_label"))
        inputs["i_data"] = rng.integers(data.minimum, data.maximum, clocks, endpoint=True)
        inputs["i_label"] = rng.integers(0, label.maximum, clocks, endpoint=True)
        inputs["i_data"][taken] = outputs[begun, output]
        inputs["i_label"][taken] = np.where(
            output == config.classes - 1, labels[begun], inputs["i_label"][taken]
        )
        return inputs
