# amaranth: UnusedElaboratable=no
# (a component is made only for its ports)
"""Gupta's update (docs/numerics.md, section 5) on its pipeline, and products of limbs.

A proof with multipliers ends only if they are small. With larger ones, the proof has three parts:
each product's register has the product of its limbs, which together are the operands; for any
values of these registers, the sum is theirs, at their binary points; and for any sum, update and
weight are those of the definition. Together they are the definition, because
(sum of a_i * 2^(17 i)) * (sum of b_j * 2^(17 j)) is the sum of a_i * b_j * 2^(17 (i + j)).
"""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import C, Cat, Value

from golden.quantize.momentum_config import PRODUCT_STAGES, MomentumUpdateConfig, limbs
from gradloom.prove import streams
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import clip, every, implies, least, power, some
from gradloom.prove.pipelines import Results
from gradloom.prove.rounder import limits, rounded
from gradloom.sim.toplevel import flatten

#: Largest number of bits of both operands of a multiplier, for a proof of the whole definition.
MOST_MULTIPLIED = 10
#: Sums are saturated to so many bits.
WIDEST = 62


def multiplied(config: MomentumUpdateConfig) -> bool:
    """Return whether the definition is proved as a whole, multipliers included."""
    pairs = [(config.width, 0 if config.power else config.rate_bits)]
    pairs += [(config.word.width, bits) for bits in (config.momentum_bits, config.decay_bits)]
    return all(not bits or width + bits <= MOST_MULTIPLIED for width, bits in pairs)


def benches(module: str, config: MomentumUpdateConfig, component: Any) -> list[Bench]:
    """Return the benches of the unit; the first one or the first two are of its pipeline."""
    found = streams.benches(module, config, component, specify)
    if not multiplied(config):
        products = Bench(found[0].module, flatten(component.pipeline))
        specify_products(products, config)
        found.insert(1, products)
        found[0].cut = (f"{found[0].module}/t:$mul",)
        found[0].assumed = "products"
    return found


class Product:
    """A product in limbs.

    Parameters
    ----------
    bench
        A bench of the pipeline.
    name
        Name of the registers.
    a, b
        Signed and unsigned operand, two clocks after that of the operands.
    lane
        Number of the lane.
    """

    def __init__(self, bench: Bench, name: str, a: Value, b: Value, lane: int):
        self.a, self.b, self.name, self.lane, self.bench = a, b, name, lane, bench
        self.left = [
            (low, a[low:end].as_signed() if end == len(a) else Cat(a[low:end], C(0, 1)).as_signed())
            for low, end in limbs(len(a), signed=True)
        ]
        self.right = [
            (low, Cat(b[low:end], C(0, 1)).as_signed()) for low, end in limbs(len(b), signed=False)
        ]

    def register(self, i: int, j: int) -> Value:
        """Return the register of the product of two limbs."""
        width = len(self.left[i][1]) + len(self.right[j][1]) - 1
        return self.bench.probe(f"{self.name}_out_{self.lane}_{i}_{j}", width).as_signed()

    def sum(self) -> Value:
        """Return the sum of the registers, each at its binary point."""
        total: Value = C(0)
        for i, (a_low, _) in enumerate(self.left):
            for j, (b_low, _) in enumerate(self.right):
                total = total + (self.register(i, j) << (a_low + b_low))
        return total


def _operands(bench: Bench, config: MomentumUpdateConfig, lane: int) -> list[tuple[Any, ...]]:
    """Return name, operand, factor, shift and sign of each product."""
    found = [
        ("gradient", bench["operand_gradient"][lane], bench["rate"], config.rate_shift, -1),
    ]
    if config.momentum_bits:
        update, factor = bench["operand_update"][lane], bench["momentum"]
        found.append(("momentum", update, factor, config.momentum_shift, 1))
    if config.decay_bits:
        weight, factor = bench["operand_weight"][lane], bench["decay"]
        found.append(("decay", weight, factor, config.decay_shift, -1))
    return found


def prove_products(bench: Bench, operands: Iterable[tuple[str, Value, Value, int]]) -> None:
    """Add a property of the registers of all products, given by name, operands and lane."""
    right, whole, moved = [], [], []
    for name, a, b, lane in operands:
        # The second registers in front of the multipliers.
        a_there = bench.probe(f"{name}_{lane}", len(a)).as_signed()
        b_there = bench.probe(f"{name}_factor_{lane}", len(b))
        right += [a_there == bench.past(a, 2), b_there == bench.past(b, 2)]
        product = Product(bench, name, a_there, b_there, lane)
        for parts, operand in ((product.left, a_there), (product.right, b_there)):
            total: Value = C(0)
            for low, limb in parts:
                total = total + (limb << low)
            whole.append(total == operand)
        for i, (_, left) in enumerate(product.left):
            for j, (_, factor) in enumerate(product.right):
                register = product.register(i, j)
                found = bench.past(bench.wire(left * factor))
                right.append(register == found[: len(register)].as_signed())
                moved.append(register > 1)
    there = bench.since(bench["operand_valid"], PRODUCT_STAGES)
    bench.prove(
        "products",
        "the register behind each multiplier has the product of two limbs, from the operands three "
        "clocks earlier; the limbs of an operand, at their places, are the operand",
        implies(there, every(right) & every(whole)),
        AnyState(PRODUCT_STAGES),
        {"a product": there & some(moved)},
    )


def specify_products(bench: Bench, config: MomentumUpdateConfig) -> None:
    """Add the properties of the products' registers."""
    multipliers, shifts, moved = [], [], []
    for lane in range(config.lanes):
        for name, a, b, _, _ in _operands(bench, config, lane):
            if name == "gradient" and config.power:
                steps = least(b, config.rate_bits - 1)
                found = _shifted(bench, config, lane)
                shifts.append(found == bench.past(bench.wire(a * power(steps)), PRODUCT_STAGES))
                moved.append(found > 1)
            else:
                multipliers.append((name, a, b, lane))
    if shifts:
        there = bench.since(bench["operand_valid"], PRODUCT_STAGES)
        bench.prove(
            "shift",
            "the gradient times 2^rate, three clocks later",
            implies(there, every(shifts)),
            AnyState(PRODUCT_STAGES),
            {"a shift": there & some(moved)},
        )
    if multipliers:
        prove_products(bench, multipliers)


def _total(bench: Bench, config: MomentumUpdateConfig, lane: int, *, whole: bool) -> Value:
    """Return the exact sum of the operands that entered `PRODUCT_STAGES` clocks ago: of their
    products if `whole`, otherwise of the products' registers.
    """
    total: Value = C(0)
    for name, a, b, shift, sign in _operands(bench, config, lane):
        if whole:
            factor = b
            if name == "gradient" and config.power:
                factor = power(least(b, config.rate_bits - 1))
            product = bench.past(a, PRODUCT_STAGES) * bench.past(factor, PRODUCT_STAGES)
        elif name == "gradient" and config.power:
            product = _shifted(bench, config, lane)
        else:
            product = Product(bench, name, a, b, lane).sum()
        term = product << shift
        total = total + term if sign > 0 else total - term
    return total


def _shifted(bench: Bench, config: MomentumUpdateConfig, lane: int) -> Value:
    """Return the register of a gradient times a power of two."""
    width = config.width + config.rate_bits - 1
    return bench.probe(f"gradient_out_{lane}_0_0", width).as_signed()


def specify(bench: Bench, config: MomentumUpdateConfig) -> None:
    """Add the properties of the update."""
    results = Results(bench, config)
    words = results.words(config.lanes)
    whole, stages = multiplied(config), config.sum_stages + 1
    low, high = limits(config.conversion)
    bound = 1 << (WIDEST - 1)
    totals = [
        bench.probe(f"total_{lane}", config.sum_width).as_signed() for lane in range(config.lanes)
    ]
    exact = [
        bench.past(bench.wire(_total(bench, config, lane, whole=whole)), stages)
        for lane in range(config.lanes)
    ]
    there = bench.since(bench["operand_valid"], PRODUCT_STAGES + stages)
    bench.prove(
        "sum",
        "the exact sum of momentum * v - rate * G - decay * w"
        + ("" if whole else ", for any products"),
        implies(there, every(total == found for total, found in zip(totals, exact))),
        AnyState(PRODUCT_STAGES + stages),
        {"a sum that is not 0": there & some(total != 0 for total in totals)},
    )
    late = results.clocks - PRODUCT_STAGES - stages  # clocks from a sum to its result
    lanes = []
    for lane, (total, word) in enumerate(zip(totals, words)):
        z = bench.wire(clip(bench.past(total, late), -bound, bound - 1))
        update = clip(rounded(config.conversion, z, word), low, high)
        weight = results.operand("operand_weight")[lane]
        lanes.append((update, weight, bench["result_weight"][lane]))
    if config.momentum_bits:
        shown = bench["result_update"]
        results.every(
            "update",
            "v' is the sum, saturated to 62 bits, rounded and saturated to a word",
            [found == update for found, (update, _, _) in zip(shown, lanes)],
            {
                "the highest": [found == high for found in shown],
                "a negative one": [found < 0 for found in shown],
            },
        )
        lanes = [(found, *others) for found, (_, *others) in zip(shown, lanes)]
    results.every(
        "weight",
        "w' = saturate(w + v')" if config.momentum_bits else "w' = saturate(w + Convert(sum))",
        [new == clip(weight + update, low, high) for update, weight, new in lanes],
        {
            "saturated": [
                (weight + update > high) & (new == high) for update, weight, new in lanes
            ],
            "moved down": [new < weight for _, weight, new in lanes],
        },
    )
