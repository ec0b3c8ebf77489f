# amaranth: UnusedElaboratable=no
# (a component is made only for its ports)
"""Updates of weights on a grid, and without one (docs/numerics.md, section 6), on their pipeline.

As for momentum-update, a proof with multipliers ends only if they are small. With larger ones, the
products of limbs are proved by themselves, and the step for any products.
"""

from typing import Any

from amaranth.hdl import Mux, Value

from golden.quantize.grid_config import STEP_STAGES, GridUpdateConfig
from golden.quantize.momentum_config import PRODUCT_STAGES
from gradloom.prove import streams
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import clip, every, implies, least, nearest_even, some
from gradloom.prove.pipelines import Results
from gradloom.prove.quantize.momentum import MOST_MULTIPLIED, Product, prove_products
from gradloom.prove.rounder import limits, rounded
from gradloom.sim.toplevel import flatten


def multiplied(config: GridUpdateConfig) -> bool:
    """Return whether the step is proved with the multipliers, if there are any."""
    return not config.rate_bits or config.width + config.rate_bits <= MOST_MULTIPLIED


def benches(module: str, config: GridUpdateConfig, component: Any) -> list[Bench]:
    """Return the benches of the unit; the first one or the first two are of its pipeline."""
    found = streams.benches(module, config, component, specify)
    if not multiplied(config):
        products = Bench(found[0].module, flatten(component.pipeline))
        operands = [
            ("gradient", gradient, products["rate"], lane)
            for lane, gradient in enumerate(products["operand_gradient"])
        ]
        prove_products(products, operands)
        found.insert(1, products)
        found[0].cut = (f"{found[0].module}/t:$mul",)
        found[0].assumed = "products"
    return found


def _product(bench: Bench, config: GridUpdateConfig, lane: int, clocks: int) -> Value:
    """Return the product of gradient and rate of the operands `clocks` clocks ago."""
    gradient = bench["operand_gradient"][lane]
    if not config.rate_bits:
        return bench.past(gradient, clocks)
    if multiplied(config):
        return bench.past(gradient, clocks) * bench.past(bench["rate"], clocks)
    found = Product(bench, "gradient", gradient, bench["rate"], lane).sum()
    return bench.past(bench.wire(found), clocks - PRODUCT_STAGES)


def on_grid(config: GridUpdateConfig, u: Value, word: Value) -> Value:
    """Return the value of the grid for a fine code."""
    fl, low, high = config.fine.fl, *limits(config.quantizer)
    if config.binary:
        code = clip(rounded(config.quantizer, u + (1 << fl), word), low, high)
        return Mux(code > 0, 1, -1)
    top = 1 << config.grid
    return clip(clip(rounded(config.quantizer, u, word), low, high), -top, top)


def drawn(config: GridUpdateConfig, u: Value, word: Value) -> Value:
    """Return 1 with the probability (u + 1) / 2, otherwise -1."""
    missing = config.generator.draw - (config.fine.fl + 1)
    doubled = u + (1 << config.fine.fl)
    chance = doubled << missing if missing >= 0 else nearest_even(doubled, -missing)
    return Mux(word < chance, 1, -1)


def specify(bench: Bench, config: GridUpdateConfig) -> None:
    """Add the properties of the update."""
    results = Results(bench, config)
    words = results.words(config.lanes)
    low, high = config.fine.minimum, config.fine.maximum
    clocks = config.product_stages + STEP_STAGES - 1  # from the operands to their step
    s = bench.wire(bench.past(least(bench["shift"], config.most_shift), clocks))
    found, expected = [], []
    for lane in range(config.lanes):
        exact = bench.wire(_product(bench, config, lane, clocks))
        expected.append(clip(nearest_even(exact, s), low, high))
        width = config.fine.width
        found.append(bench.wire(bench.probe(f"step_{lane}", width).as_signed()))
    there = bench.since(bench["operand_valid"], clocks)
    bench.prove(
        "step",
        "the step is rate * G / 2^shift, rounded to nearest even and saturated"
        + ("" if multiplied(config) else ", for any products"),
        implies(there, every(step == right for step, right in zip(found, expected))),
        AnyState(clocks),
        {
            "the highest": there & some(step == high for step in found),
            "a negative one": there & some(step < 0 for step in found),
        },
    )
    stored = results.operand(f"operand_{'buffer' if config.buffered else 'weight'}")
    apart = 0 if config.buffered else config.fine.fl - config.grid
    one = 1 << config.fine.fl
    differences = [
        bench.wire((u << apart) - bench.past(step, results.clocks - clocks))
        for u, step in zip(stored, found)
    ]
    if config.buffered:
        shown = bench["result_buffer"]
        bottom, top = (-one, one) if config.quantized else (low, high)
        results.every(
            "buffer",
            "u' = clip(u - step, -1, 1)"
            if config.quantized
            else "u' = u - step, saturated to the fine format",
            [new == clip(u, bottom, top) for new, u in zip(shown, differences)],
            {
                "the highest": [new == top for new in shown],
                "one inside": [(new < top) & (new > bottom) & (new != 0) for new in shown],
            },
        )
        if not config.quantized:
            return
        differences = list(shown)
    weights = bench["result_weight"]
    place = drawn if config.drawn else on_grid
    rule = {
        "r": "the nearest value of the grid to w - step, ties away from zero",
        "sr": "w - step, rounded stochastically to the grid",
        "bc": "1 if the random word is below the code of (u' + 1) / 2, otherwise -1"
        if config.drawn
        else "the nearest value of the grid to u', ties away from zero",
    }[config.rule]
    results.every(
        "weight",
        f"the weight is {rule}",
        [
            new == place(config, u, word)
            for new, u, word in zip(weights, differences, words, strict=True)
        ],
        {
            "a positive one": [new > 0 for new in weights],
            "a negative one": [new < 0 for new in weights],
        },
    )
