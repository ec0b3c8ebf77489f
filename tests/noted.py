"""What the references of Gupta's and Li's steps share: softmax in fractions, the operations of a
step noted in order, and what holds of any record.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from drawn import LoopLanes

from golden.fixed import round_shift, saturate
from golden.training.step import ops
from golden.training.step.ops import Product


def uniform(generator, word, s):
    """r / 2^s for the r that a draw gives where s bits are dropped."""
    if s <= 0:
        return Fraction(0)
    if s <= generator.draw:
        return Fraction(word % 2**s, 2**s)
    return Fraction(2 * word + 1, 2 ** (generator.draw + 1))


def corners(window, shape):
    """Upper left corners of a window on an image, by the place's row and column."""
    height, width, _ = shape
    p = window.padding
    return {
        (row, column): (top, left)
        for row, top in enumerate(range(-p, height + p - window.height + 1, window.stride))
        for column, left in enumerate(range(-p, width + p - window.width + 1, window.stride))
    }


def taps(window):
    """Places of a window, row by row."""
    return [(y, x) for y in range(window.height) for x in range(window.width)]


def probabilities(row):
    """Softmax of a row, by the table's formula."""
    powers = []
    for y in row:
        power = (max(row) - y) * Fraction(94548, 2**16)  # log2 e with 16 fraction bits
        whole = math.floor(power)
        index = math.floor((power - whole) * 1024)
        powers.append(round(2.0**16 * 2.0 ** (-index / 1024)) >> min(whole, 31))
    return [Fraction(e * 2**16 // sum(powers), 2**16) for e in powers]


class Notes(list):
    """The operations of a step and their tensors, to compare a record with."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def by_row(self, values, dense=False):
        """A tensor in rows and columns: rows of samples, in blocks, place by place; with `dense`
        rows of samples alone, and columns of places and channels.
        """
        samples, places, channels = (sorted(set(part)) for part in zip(*values))
        if dense:
            return [[values[n, place, c] for place in places for c in channels] for n in samples]
        return [
            [values[n, place, c] for c in channels]
            for top in range(0, len(samples), self.rows)
            for place in places
            for n in samples[top : top + self.rows]
        ]

    def note(self, name, layer, group, fl, dense=False, **tensors):
        """Append an operation; values of `tensors` are whole numbers times 2^-`fl`, which may be a
        dictionary by their names.
        """
        found = {}
        for tensor, values in tensors.items():
            if isinstance(values, dict):
                scale = 2 ** (fl[tensor] if isinstance(fl, dict) else fl)
                scaled = {place: value * scale for place, value in values.items()}
                if len(next(iter(scaled))) == 2:  # weights
                    scaled = {(i, (0, 0), j): value for (i, j), value in scaled.items()}
                found[tensor] = self.by_row(scaled, dense)
        self.append((name, layer, group, found))


def kind_of(entry):
    """Type of an entry's operation, of a product also which one it is."""
    operation = entry.operation
    kind = f"{operation.kind} " if isinstance(operation, Product) else ""
    return f"{kind}{type(operation).__name__}"


def same_operations(record, notes):
    """Every operation of a record is the noted one, with the noted values, one for one."""
    assert len(record) == len(notes)
    for entry, (name, layer, group, tensors) in zip(record, notes):
        operation, out = entry.operation, entry.operation.writes[0]
        kind = kind_of(entry)
        assert ((kind, operation.phase) if kind == "error Product" else kind) == name
        assert (operation.layer, out.group) == (layer, group)
        found = dict(entry.tensors)
        for tensor, values in found.items():
            assert values.shape == operation.tensors()[tensor].matrix.shape
        if isinstance(operation, Product):
            found["z"] = found["a"] @ found["b"]
        assert tensors
        for tensor, values in tensors.items():
            assert found[tensor].tolist() == values, (name, layer, tensor)


def by_place(rows):
    """A matrix as a dictionary."""
    return {(i, j): value for i, row in enumerate(rows) for j, value in enumerate(row)}


def in_rows(values):
    """The inverse."""
    rows = [[] for _ in range(max(i for i, _ in values) + 1)]
    for i, j in sorted(values):
        rows[i].append(values[i, j])
    return rows


def note_errors(notes, stage, layer, name, w_fl, fl, z, out):
    """Note a stage's error products: one, or those of the phases."""
    step, p = stage.window.stride, stage.window.padding
    phases = {((y + p) % step, (x + p) % step) for _, (y, x), _ in z}
    for phase in [None] if stage.dense else sorted(phases):
        z_part, part = (
            {
                (n, (y, x), c): value
                for (n, (y, x), c), value in values.items()
                if phase in (None, ((y + p) % step, (x + p) % step))
            }
            for values in (z, out)
        )
        units, kind = {"z": w_fl + fl, "out": fl}, ("error Product", phase or (0, 0))
        notes.note(kind, layer, name, units, stage.dense, z=z_part, out=part)


def by_sample(matrix, rows, shape, samples):
    """The inverse of rows of samples, in blocks, place by place: (samples, *shape)."""
    found, matrix = np.empty((samples, *shape), matrix.dtype), iter(matrix)
    for top in range(0, samples, rows):
        for y, x in np.ndindex(shape[:2]):
            for n in range(top, min(top + rows, samples)):
                found[n, y, x] = next(matrix)
    assert next(matrix, None) is None
    return found


def assert_consistent(entry, trainer):
    """What an operation wrote follows from what it read, by its kind alone."""
    operation, tensors, rows = entry.operation, entry.tensors, trainer.recipe.rows
    stage = trainer.stages[operation.layer - 1]
    match operation:
        case ops.Mask():
            assert set(np.unique(tensors["keep"])) <= {0, 1}
            assert np.array_equal(tensors["out"], tensors["values"] * tensors["keep"])
        case ops.Relu():
            assert np.array_equal(tensors["out"], np.maximum(tensors["values"], 0))
            assert np.array_equal(tensors["active"], tensors["values"] > 0)
        case ops.Sign():
            assert np.array_equal(tensors["out"], np.where(tensors["values"] >= 0, 1, -1))
            assert np.array_equal(tensors["active"], abs(tensors["values"]) <= operation.one)
        case ops.Pool() | ops.Unpool():
            assert operation.window == stage.pool
            names = (
                ("values", "pooled") if isinstance(operation, ops.Pool) else ("spread", "errors")
            )
            samples = len(tensors["first"]) // (stage.pooled[0] * stage.pooled[1])
            whole = by_sample(tensors[names[0]], rows, stage.sums, samples)
            part, first = (
                by_sample(tensors[name], rows, stage.pooled, samples)
                for name in (names[1], "first")
            )
            spread = np.zeros(whole.shape, np.int64)
            for place, (top, left) in corners(stage.pool, stage.sums).items():
                for n, c in np.ndindex(samples, stage.outputs):
                    window = [
                        (number, (n, top + y, left + x, c))
                        for number, (y, x) in enumerate(taps(stage.pool))
                        if 0 <= top + y < stage.sums[0] and 0 <= left + x < stage.sums[1]
                    ]
                    which = first[n, *place, c]
                    spread[dict(window)[which]] += part[n, *place, c]
                    if isinstance(operation, ops.Pool):
                        best = max(whole[at] for _, at in window)
                        assert part[n, *place, c] == best
                        assert which == next(i for i, at in window if whole[at] == best)
            if isinstance(operation, ops.Unpool):
                if operation.limit is not None:
                    spread = np.clip(spread, operation.limit.minimum, operation.limit.maximum)
                assert np.array_equal(spread, whole)
        case ops.Softmax():
            for row, p in zip(tensors["outputs"].tolist(), tensors["probability"].tolist()):
                row = [Fraction(y, 2**operation.fraction) for y in row]
                assert [q * 2**16 for q in probabilities(row)] == p
        case ops.OutputError():
            assert operation.one == 16 and tensors["label"].shape == (len(tensors["outputs"]), 1)
            target = np.arange(stage.outputs) == tensors["label"]
            assert np.array_equal(tensors["difference"], tensors["outputs"] - (target << 16))
        case ops.FixedPointUpdate():
            factors, limit = entry.scalars, 1 << 61
            exact = tensors["gradient"].astype(object) * -factors["gradient"]
            if "last" in tensors:
                exact += tensors["last"].astype(object) * factors["velocity"]
            else:
                assert not factors["velocity"]
            exact[:-1] -= tensors["weight"][:-1].astype(object) * factors["weight"]
            assert np.array_equal(tensors["z"], np.clip(exact, -limit, limit - 1))
            moved = tensors["weight"] + tensors["out"]
            assert np.array_equal(tensors["moved"], saturate(moved, operation.target))


def assert_passed_on(record):
    """What an operation reads is what was written last, where both have the same rows."""
    written = {}
    for entry in record:
        operation = entry.operation
        for name, tensor in zip(operation.READS, operation.reads):
            last, values = written.get((tensor.kind, tensor.layer, tensor.group), (tensor, None))
            as_written = last.matrix.row_places == tensor.matrix.row_places
            if values is not None and as_written and values.shape == tensor.matrix.shape:
                assert np.array_equal(entry.tensors[name], values)
        for name, tensor in zip(operation.WRITES, operation.writes):
            written[tensor.kind, tensor.layer, tensor.group] = tensor, entry.tensors[name]


def lanes_at(trainer, draws):
    """One-by-one lanes of a trainer after so many draws."""
    generator, columns = trainer.recipe.generator, trainer.recipe.columns
    found = LoopLanes(generator, 0, columns), LoopLanes(generator, columns, columns)
    for lanes, made in zip(found, (draws.array, draws.elementwise)):
        for lane in lanes.lanes:
            lane.state = generator.advance(lane.state, made * generator.leap)
    return found


def words_of(operation, shape, trainer, array, elementwise, phases):
    """Words of an operation's values, in rows and columns of the shape of its results; `phases`
    keeps those of error products that were drawn with the first phase.
    """
    recipe, stage = trainer.recipe, trainer.stages[operation.layer - 1]
    dense, group = False, operation.writes[0].group
    if not isinstance(operation, Product):
        if operation.writes[0].kind == "error":
            words = elementwise.elementwise(range(shape[0]), 1, shape[1])
        else:
            words = elementwise.update(*shape)
            words = {(i, 0, j): word for (i, j), word in words.items()}
    else:
        samples = recipe.batch
        if group is not None:
            samples = min(recipe.group, samples - group * recipe.group)
        if operation.kind == "forward":
            words = array.forward_product(recipe.rows, samples, stage)
        else:
            key, dense = (operation.layer, group), stage.dense
            if key not in phases:
                phases[key] = array.error_product(recipe.rows, samples, stage)
            step, p = stage.window.stride, stage.window.padding
            words = {
                (n, (y, x), c): word
                for (n, (y, x), c), word in phases[key].items()
                if dense or ((y + p) % step, (x + p) % step) == operation.phase
            }
    return Notes(recipe.rows).by_row(words, dense)


def assert_redone(trainer, before, record):
    """The record and the draws made before it give every rounded word again."""
    generator, (array, elementwise) = trainer.recipe.generator, lanes_at(trainer, before)
    phases = {}
    for entry in record:
        operation, tensors = entry.operation, entry.tensors
        if isinstance(operation, Product):
            z, conversion = tensors["a"] @ tensors["b"], operation.conversion
        elif isinstance(operation, ops.Convert):
            z, conversion = tensors["z"], operation.conversion(entry.scalars)
        else:
            continue
        if conversion is None:
            assert operation.kind == "gradient" and not operation.draws
            assert np.array_equal(z, tensors["out"])
            continue
        assert operation.draws == (conversion.rounding == "stochastic")
        s, r = conversion.dropped, np.zeros(z.shape, np.int64)
        if operation.draws:
            words = words_of(operation, z.shape, trainer, array, elementwise, phases)
            scale = 2 ** max(s, 0)
            r = np.array(
                [[int(uniform(generator, word, s) * scale) for word in row] for row in words]
            )
            assert r.shape == z.shape
        assert np.array_equal(conversion(z, r), tensors["out"]), str(operation)
        if "unclipped" in tensors:
            y = round_shift(z, s, conversion.rounding, r) if s > 0 else z << -s
            assert np.array_equal(tensors["unclipped"], y == tensors["out"])
    for lanes, mine in ((array, trainer._array), (elementwise, trainer._elementwise)):
        assert [lane.state for lane in lanes.lanes] == mine.states
    return array, elementwise


def assert_evaluated(trainer, images, labels, outputs):
    """A trainer's classes and score are those of `outputs`, a row for each image and more."""
    outputs = outputs[: len(images)]
    classes = [row.index(max(row)) for row in outputs]
    assert trainer.predict(images).tolist() == classes
    score = trainer.evaluate(images, labels)
    assert score.images == len(images)
    assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
    loss = -sum(
        math.log(max(probabilities(row)[label], Fraction(1, 2**16)))
        for row, label in zip(outputs, labels.tolist())
    )
    assert score.loss == pytest.approx(loss, rel=1e-12)
