"""Which value meets which draw: the literals of docs/numerics.md, plain loops, and the hardware."""

import re
from pathlib import Path

import numpy as np
import pytest
from drawn import LoopLanes
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Bench

import golden
import hdl
from golden.fixed import Fixed
from golden.lfsr import Generator, Lanes
from golden.order import ColumnOrder, Matrix, RowOrder, TileOrder
from golden.training import Formats, GuptaRecipe, GuptaTrainer, WageRecipe, plan
from golden.training.layers.network import Stage, Window
from golden.training.step.operation import Kind
from golden.training.step.ops import Convert, FixedPointUpdate, Pass, Product
from golden.training.systems.gupta.plan import GuptaPlanner
from golden.training.systems.wage.plan import WagePlanner

PAGE = Path(__file__).parent.parent / "docs" / "numerics.md"


def stage(image, outputs, window=None, stride=1, padding=0):
    height, width = window or image[:2]
    window = Window(height=height, width=width, stride=stride, padding=padding)
    return Stage(text="x", image=image, window=window, outputs=outputs, pool=None)


def planner(*stages, batch=3, rows=2, columns=2, kind=GuptaPlanner, **settings):
    recipe = (GuptaRecipe if kind is GuptaPlanner else WageRecipe)(
        batch=batch, rows=rows, columns=columns, **settings
    )
    return kind(recipe, stages)


#: The examples of the page, R = C = V = 2: an order, and its table, rows as in the tensor.
EXAMPLES = {
    "a dense layer, with partial blocks of rows and of columns": (
        planner(stage((1, 1, 4), 3)).forward(0, Kind.WEIGHT, None).order,
        """
| sample 0 | 0:1 | 1:1 | 0:5 |
| sample 1 | 0:0 | 1:0 | 0:4 |
| sample 2 | 0:3 | 1:3 | 0:7 |
""",
        8,
    ),
    "errors of a dense layer whose image has two places": (
        planner(stage((1, 2, 3), 5)).errors(0, Kind.WEIGHT, None)[0].order,
        """
| sample 0 | 0:1 | 1:1 | 0:5 | 0:9 | 1:9 | 0:13 |
| sample 1 | 0:0 | 1:0 | 0:4 | 0:8 | 1:8 | 0:12 |
| sample 2 | 0:3 | 1:3 | 0:7 | 0:11 | 1:11 | 0:15 |
""",
        16,
    ),
    "a convolution, with a partial group of samples": (
        planner(stage((3, 1, 1), 3, (2, 1))).forward(0, Kind.WEIGHT, None).order,
        """
| sample 0 | 0:1 | 1:1 | 0:3 | 0:5 | 1:5 | 0:7 |
| sample 1 | 0:0 | 1:0 | 0:2 | 0:4 | 1:4 | 0:6 |
| sample 2 | 0:9 | 1:9 | 0:11 | 0:13 | 1:13 | 0:15 |
""",
        16,
    ),
    "a pass over rows of a dense layer": (
        planner(stage((1, 1, 4), 3)).output_error(None).order,
        """
| sample 0 | 2:0 | 3:0 | 2:1 |
| sample 1 | 2:2 | 3:2 | 2:3 |
| sample 2 | 2:4 | 3:4 | 2:5 |
""",
        6,
    ),
    "a pass over errors of a dense layer whose image has two places": (
        planner(stage((1, 2, 4), 3, (1, 1)), stage((1, 2, 3), 5), batch=2, kind=WagePlanner)
        .quantize_error(0)
        .order,
        """
| sample 0 | 2:0 | 3:0 | 2:1 | 2:2 | 3:2 | 2:3 |
| sample 1 | 2:4 | 3:4 | 2:5 | 2:6 | 3:6 | 2:7 |
""",
        8,
    ),
    "a pass over errors of a convolution": (
        planner(stage((2, 1, 1), 3, (1, 1)), stage((2, 1, 3), 5, (1, 1)), kind=WagePlanner)
        .quantize_error(0)
        .order,
        """
| sample 0 | 2:0 | 3:0 | 2:1 | 2:4 | 3:4 | 2:5 |
| sample 1 | 2:2 | 3:2 | 2:3 | 2:6 | 3:6 | 2:7 |
| sample 2 | 2:8 | 3:8 | 2:9 | 2:10 | 3:10 | 2:11 |
""",
        12,
    ),
    "an update with biases": (
        planner(stage((1, 1, 2), 3)).weight_update(0).order,
        """
| input 0 | 2:0 | 3:0 | 2:3 |
| input 1 | 2:1 | 3:1 | 2:4 |
| bias | 2:2 | 3:2 | 2:5 |
""",
        6,
    ),
    "an update without biases": (
        planner(stage((1, 1, 2), 3), kind=WagePlanner).update(0).order,
        """
| input 0 | 2:0 | 3:0 | 2:2 |
| input 1 | 2:1 | 3:1 | 2:3 |
""",
        4,
    ),
}


def in_tensor(order):
    """Lane and draw of every value, rows as in the tensor, samples of all places side by side."""
    found = (order.matrix.tensor(np.ascontiguousarray(part)) for part in order.coordinates())
    return [part.reshape(order.matrix.samples, -1) for part in found]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_page(name):
    order, table, leaps = EXAMPLES[name]
    assert table in PAGE.read_text()
    lane, draw = in_tensor(order)
    found = [re.findall(r"(\d+):(\d+)", line) for line in table.strip().splitlines()]
    assert lane.tolist() == [[int(lane) for lane, _ in line] for line in found]
    assert draw.tolist() == [[int(draw) for _, draw in line] for line in found]
    assert order.leaps == leaps


def test_the_page_s_phases_of_a_strided_error_product():
    """Channel 0 meets lane 0 and channel 1 lane 1, with the same draw."""
    rows = """
| (0, 0) | (1, 1) | 1 | 0 | 3 |
| (0, 1) | (1, 0) | 5 | 4 | 9 |
| (0, 1) | (1, 2) | 7 | 6 | 11 |
| (1, 0) | (0, 1) | 13 | 12 | 15 |
| (1, 1) | (0, 0) | 17 | 16 | 21 |
| (1, 1) | (0, 2) | 19 | 18 | 23 |
"""
    assert rows in PAGE.read_text()
    numbers = [[int(n) for n in re.findall(r"\d+", line)] for line in rows.strip().splitlines()]
    for window in ((2, 2), (1, 1)):  # with 1 x 1 three of the phases see no window
        convolution = stage((2, 3, 2), 4, window, 2, 1)
        products = planner(convolution).errors(0, Kind.WEIGHT, None)
        assert [product.phase for product in products] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        found, start = {}, 0
        for product, phase in zip(products, convolution.phases, strict=True):
            lane, draw = in_tensor(product.order)
            assert lane.tolist() == [[0, 1] * phase.places] * 3
            places = [(y, x) for y in phase.ys for x in phase.xs]
            for at, place in enumerate(places):
                assert (draw[:, 2 * at] == draw[:, 2 * at + 1]).all()
                found[place] = [product.phase, (draw[:, 2 * at] + start).tolist()]
            start += product.order.leaps
        assert start == 24
        for top, left, y, x, *draws in numbers:
            assert found[y, x] == [(top, left), draws]


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        (
            2,
            """
| 0 and 1 | forward 1 | 4, from 0 | |
| 0 and 1 | forward 2 | 2, from 4 | |
| 0 and 1 | output error | | 2, from 0 |
| 0 and 1 | error product of 2 | 4, from 6 | |
| 2 | forward 1 | 4, from 10 | |
| 2 | forward 2 | 2, from 14 | |
| 2 | output error | | 1, from 2 |
| 2 | error product of 2 | 4, from 16 | |
| all | gradient product of 2 | | |
| all | update of 2 | | 4, from 3 |
| all | gradient product of 1 | | |
| all | update of 1 | | 6, from 7 |
""",
        ),
        (
            None,
            """
| 0 to 2 | forward 1 | 8, from 0 | |
| 0 to 2 | forward 2 | 4, from 8 | |
| 0 to 2 | output error | | 3, from 0 |
| 0 to 2 | error product of 2 | 8, from 12 | |
| all | gradient product of 2 | | |
| all | update of 2 | | 4, from 3 |
| all | gradient product of 1 | | |
| all | update of 1 | | 6, from 7 |
""",
        ),
    ],
)
def test_the_page_s_steps(group, rows):
    """784-1000-10 in small: 2 inputs, 3 and 2 outputs, minibatch 3."""
    assert rows in PAGE.read_text()
    wanted = []
    for line in rows.strip().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        wanted.append((cells[0], cells[1], cells[2], cells[3]))
    recipe = GuptaRecipe(network="3FC", batch=3, rows=2, columns=2, group=group)
    names = {0: "0 and 1", 1: "2", None: "0 to 2"}
    found, array, elementwise = [], 0, 0
    for operation in plan(recipe, (1, 1, 2), 2):
        samples = names[operation.reads[0].group]
        match operation:
            case Product(kind=Pass.FORWARD):
                name = f"forward {operation.layer}"
            case Product(kind=Pass.ERROR):
                name = f"error product of {operation.layer}"
            case Product():
                samples, name = "all", f"gradient product of {operation.layer}"
            case FixedPointUpdate():
                samples, name = "all", f"update of {operation.layer}"
            case Convert():
                name = "output error"
            case _:
                assert not operation.draws
                continue
        leaps = operation.leaps
        if isinstance(operation, Product):
            found.append((samples, name, f"{leaps}, from {array}" if leaps else "", ""))
            array += leaps
        else:
            found.append((samples, name, "", f"{leaps}, from {elementwise}"))
            elementwise += leaps
    assert found == wanted


@st.composite
def stages(draw):
    """A dense layer or a convolution, of any window, stride and padding, on a small image."""
    image = tuple(draw(st.integers(1, 4)) for _ in range(2)) + (draw(st.integers(1, 5)),)
    outputs = draw(st.integers(1, 5))
    if draw(st.booleans()):
        return stage(image, outputs)
    window = tuple(draw(st.integers(1, 3)) for _ in range(2))
    padding = draw(st.integers(0, min(window) - 1))
    found = stage(image, outputs, window, draw(st.integers(1, 3)), padding)
    return found if min(found.sums[:2]) > 0 else stage(image, outputs)


GENERATORS = [Generator(), Generator(bits=24, leap=8, draw=8, seed=77)]


def words_of(order, lanes, shape):
    """The words that each value of a tensor meets, by coordinates and in bulk."""
    first, start = lanes.first, lanes.copy()
    found = order.words(lanes).copy()
    drawn = start.take(order.leaps)
    lane, draw = order.coordinates()
    assert lane.shape == draw.shape == order.matrix.shape
    assert np.array_equal(order.matrix.of(found), drawn[draw, lane - first])
    return found.reshape(shape)


def by_place(words, shape):
    """Words {(sample, (y, x), channel): word} as an array of the tensor's shape."""
    found = np.full(shape, -1, np.int64)
    for (n, (y, x), c), word in words.items():
        found[n, y, x, c] = word
    assert found.min() >= 0
    return found


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(
    stages(),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(GENERATORS),
)
def test_products_and_passes_draw_as_plain_loops_do(layer, batch, rows, columns, generator):
    plans = planner(layer, layer, batch=batch, rows=rows, columns=columns)
    lanes, loops = Lanes(generator, 0, columns), LoopLanes(generator, 0, columns)
    shape = (batch, *layer.sums)
    found = words_of(plans.forward(0, Kind.WEIGHT, None).order, lanes, shape)
    assert np.array_equal(found, by_place(loops.forward_product(rows, batch, layer), shape))
    shape = (batch, *layer.image)
    errors = np.zeros(shape, np.int64)
    products = plans.errors(0, Kind.WEIGHT, None)
    for product, phase in zip(products, [None] if layer.dense else layer.phases, strict=True):
        part = errors
        if phase is not None:
            part = errors[:, phase.ys.start :: phase.ys.step, phase.xs.start :: phase.xs.step]
        part[...] = words_of(product.order, lanes, part.shape)
    assert np.array_equal(errors, by_place(loops.error_product(rows, batch, layer), shape))
    assert lanes.states == [lane.state for lane in loops.lanes]
    lanes, loops = Lanes(generator, columns, columns), LoopLanes(generator, columns, columns)
    found = words_of(plans.by_rows(plans.below(0, Kind.RAW_ERROR)), lanes, shape)
    assert np.array_equal(found, by_place(loops.errors(rows, batch, layer), shape))
    update = plans.weight_update(0).order
    found = words_of(update, lanes, update.matrix.shape)
    wanted = loops.update(*update.matrix.shape)
    assert {place: found[place] for place in wanted} == wanted
    assert lanes.states == [lane.state for lane in loops.lanes]


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_values_pass_as_vectors_and_come_back(layer, batch, rows, columns):
    plans = planner(layer, layer, batch=batch, rows=rows, columns=columns)
    for order in (
        plans.by_rows(plans.below(0, Kind.ERROR)),
        plans.by_rows(plans.sums(0, Kind.SUM)),
        plans.weight_update(0).order,
    ):
        values = np.arange(1, order.matrix.shape[0] * order.matrix.shape[1] + 1)
        values = values.reshape(order.matrix.shape)
        vectors = order.vectors(values)
        assert vectors.shape == (order.leaps, columns)
        lane, draw = order.coordinates()
        assert np.array_equal(vectors[draw, lane - columns], values)
        assert np.count_nonzero(vectors) == values.size  # the rest is padding
        assert np.array_equal(order.values(vectors), values)
        tensor = order.matrix.tensor(values)
        assert np.array_equal(order.matrix.of(tensor), values)


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_tiles_hold_each_value_once_where_it_is_drained(layer, batch, rows, columns):
    plans = planner(layer, batch=batch, rows=rows, columns=columns)
    products = [plans.forward(0, Kind.WEIGHT, None), *plans.errors(0, Kind.WEIGHT, None)]
    for order in (product.order for product in products):
        down, across = order.tiles()
        assert down.shape == (order.leaps // rows, rows) and across.shape[1] == columns
        lane, draw = order.coordinates()
        met = {}
        for tile, (of_rows, of_columns) in enumerate(zip(down.tolist(), across.tolist())):
            for r, i in enumerate(of_rows):
                for c, j in enumerate(of_columns):
                    if i >= 0 and j >= 0:
                        assert (i, j) not in met
                        met[i, j] = (c, tile * rows + rows - 1 - r)
        assert met == {place: (lane[place], draw[place]) for place in np.ndindex(draw.shape)}


def test_an_array_has_a_lane_for_each_column():
    order = TileOrder(matrix=Matrix(samples=2, channels=3), rows=2, columns=3, by_columns=True)
    with pytest.raises(ValueError, match="4 lanes for an array of 3 columns"):
        order.words(Lanes(Generator(), 0, 4))


def test_orders_are_values():
    """Equal parameters make equal orders, so that operations can be compared."""
    matrix = Matrix(samples=2, channels=3)
    for kind in (RowOrder, ColumnOrder):
        one, other = (kind(matrix=matrix, first_lane=4, width=4) for _ in range(2))
        assert one == other and hash(one) == hash(other)


# The hardware: tiles made by plain loops over samples, places and channels.

R, C, BATCH = 2, 2, 3
SHAPE = (3, 2, 1)


def looped_operands(trainer, x, e, forward):
    """Operands of every product that rounds in a step, tile by tile, from tensors by layer.

    Yields (A's column, B's row, last, choice); `x` are the inputs, `e` the errors of the sums.
    """
    for layer, stage_ in enumerate(trainer.stages):
        one = 1 << trainer.recipe.input_format(layer).fl
        b = [*trainer.weights[layer].astype(int).tolist(), trainer.biases[layer].astype(int)]
        places = list(np.ndindex(stage_.sums[:2]))

        def seen(n, place, stage_=stage_, layer=layer, one=one):
            row = []
            for ky in range(stage_.window.height):
                for kx in range(stage_.window.width):
                    y = place[0] * stage_.window.stride + ky - stage_.window.padding
                    z = place[1] * stage_.window.stride + kx - stage_.window.padding
                    inside = 0 <= y < stage_.image[0] and 0 <= z < stage_.image[1]
                    row += x[layer][n, y, z].tolist() if inside else [0] * stage_.image[2]
            return [*row, one]

        yield from looped_tiles(seen, b, places, stage_.outputs, stage_.dense, forward[layer])
    choice = len(set(forward))
    for layer in reversed(range(1, len(trainer.stages))):
        stage_ = trainer.stages[layer]
        window, (height, width, channels) = stage_.window, stage_.image
        w = trainer.weights[layer].astype(int)
        w = w.reshape(window.height, window.width, channels, stage_.outputs)
        if stage_.dense:
            for y, z in np.ndindex(height, width):
                rows = lambda n, _, layer=layer: e[layer][n].reshape(-1).tolist()  # noqa: E731
                yield from looped_tiles(rows, w[y, z].T.tolist(), [None], channels, True, choice)
            continue
        step, p = window.stride, window.padding
        for top, left in np.ndindex(step, step):
            taps = [
                (ky, kx)
                for ky in range(window.height)
                for kx in range(window.width)
                if (ky % step, kx % step) == (top, left)
            ]
            places = [
                (y, z)
                for y in range(height)
                for z in range(width)
                if ((y + p) % step, (z + p) % step) == (top, left)
            ]

            def met(n, place, taps=taps, layer=layer, step=step, p=p):
                row = []
                for ky, kx in taps:
                    y, z = (place[0] + p - ky) // step, (place[1] + p - kx) // step
                    rows, columns, outputs = trainer.stages[layer].sums
                    inside = 0 <= y < rows and 0 <= z < columns
                    row += e[layer][n, y, z].tolist() if inside else [0] * outputs
                return row or [0]

            b = [row for ky, kx in taps for row in w[ky, kx].T.tolist()] or [[0] * channels]
            yield from looped_tiles(met, b, places, channels, False, choice)


def looped_tiles(row_of, b, places, channels, dense, choice):
    """Operands of a product, block by block."""
    tops, lefts = range(0, BATCH, R), range(0, channels, C)
    order = (
        [(top, place, left) for left in lefts for top in tops for place in places]
        if dense
        else [(top, place, left) for top in tops for place in places for left in lefts]
    )
    for top, place, left in order:
        rows = [row_of(n, place) if n < BATCH else [0] * len(b) for n in range(top, top + R)]
        for k, of_b in enumerate(b):
            columns = [int(v) for v in of_b[left : left + C]]
            yield (
                [int(row[k]) for row in rows],
                columns + [0] * (C - len(columns)),
                k == len(b) - 1,
                choice,
            )


def test_the_array_drains_what_golden_rounds():
    """A step's forward and error products through `hdl.Array` in one run: partial groups, a strided
    and padded convolution with a place that no window sees, a dense layer over an image.
    """
    recipe = GuptaRecipe(
        network="3C1-3C2s3p1",
        batch=BATCH,
        rows=R,
        columns=C,
        formats=Formats(fl=12, activation_fl=9, input_fl=14),
        deviation="0.5",
    )
    trainer = GuptaTrainer(recipe, shape=SHAPE, classes=3, pixel_max=16)
    trainer.biases = [np.arange(-1, size - 1) * 300.0 for size in (3, 3, 3)]
    random = np.random.default_rng(2)
    images, labels = random.integers(1, 17, (BATCH, *SHAPE), np.uint8), np.array([2, 0, 1])
    before = GuptaTrainer(recipe, shape=SHAPE, classes=3, pixel_max=16)
    before.biases = [bias.copy() for bias in trainer.biases]
    record = []
    trainer.step(images, labels, record)
    products = [entry for entry in record if isinstance(entry.operation, Product)]
    rounded = [entry for entry in products if entry.operation.draws]
    taps = [phase.taps for phase in before.stages[1].phases]
    assert taps == [1, 0, 1, 0, 0, 0]  # and so four places that no window sees

    def tensor(entry, name):
        return entry.operation.tensors()[name].matrix.tensor(entry.tensors[name])

    x = [before._pixels(images).astype(int)]
    for entry in record[: 5 * 2]:
        if type(entry.operation).__name__ == "Relu":
            image = before.stages[entry.operation.layer].image
            x.append(tensor(entry, "out").reshape(BATCH, *image))
    e = {}
    for entry in products:
        if entry.operation.kind is Pass.GRADIENT:
            k = entry.operation.layer - 1
            e[k] = entry.tensors["b"].reshape(BATCH, *before.stages[k].sums)
    conversions = tuple(dict.fromkeys(entry.operation.conversion for entry in rounded))
    forward = [conversions.index(recipe.forward(layer)) for layer in range(3)]
    config = golden.ArrayConfig(
        rows=R,
        columns=C,
        macc=golden.MaccConfig(a=Fixed(16, 0), b=Fixed(16, 0), depth=16),
        conversions=conversions,
        generator=recipe.generator,
    )
    assert conversions[-1] == recipe.error
    operands = [
        {"a": a, "b": b, "last": last, "choice": choice}
        for a, b, last, choice in looped_operands(before, x, e, forward)
    ]
    tiles = sum(operand["last"] for operand in operands)
    assert tiles * R == sum(entry.operation.leaps for entry in rounded)
    rows = [row["data"] for row in Bench(hdl.Array(config)).run(operands, tiles * R)]
    start = 0
    for entry in rounded:
        drained = np.array(rows[start : start + entry.operation.leaps])
        lane, draw = entry.operation.order.coordinates()
        assert np.array_equal(drained[draw, lane], entry.tensors["out"])
        assert entry.tensors["out"].any() or 0 in entry.tensors["a"].shape
        start += entry.operation.leaps
    assert start == len(rows)
