"""Softmax and the output error: hardware against twin, times, arithmetic, random words."""

import importlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne

import golden
import hdl
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator
from golden.softmax import SoftmaxConfig, softmax
from golden.softmax.integers import LOG2_E, TABLE
from gradloom import compare
from hdl.softmax import ExponentialPipeline, QuotientPipeline
from hdl.softmax import unit as gates
from hdl.softmax.exponential import table

EVEN = Rounding.NEAREST_EVEN
FORMATS = st.builds(Fixed, st.integers(1, 8), st.integers(1, 14))
CONFIGS = st.builds(
    SoftmaxConfig,
    classes=st.integers(2, 12),
    outputs=FORMATS,
    error=FORMATS,
    rounding=st.sampled_from(list(Rounding)),
    generators=st.integers(1, 14),
    first_lane=st.integers(0, 30),
)


def agree(config, clocks, seed, simulator="pysim", component=hdl.Softmax):
    twin = golden.Softmax(config)
    inputs = twin.legal(np.random.default_rng(seed), clocks)
    return compare(component(config), inputs, twin, simulator)


@settings(max_examples=12, deadline=None)
@given(CONFIGS, SEEDS)
def test_softmaxes_agree(config, seed):
    comparison = agree(config, 500, seed)
    assert comparison, comparison.report()


@pytest.mark.long
@pytest.mark.parametrize(
    "config",
    [SoftmaxConfig(), SoftmaxConfig(classes=2), SoftmaxConfig(classes=300, generators=28)],
    ids=["10", "2", "300"],
)
def test_softmaxes_agree_for_long(config):
    assert agree(config, 100_000, 5, "cxxrtl")


# The rule


def exponential(x, fraction):
    """exp(-x) by the sentence of docs/numerics.md, without the table."""
    t = x * 94548
    i, j = t >> (fraction + 16), (t >> (fraction + 6)) % 1024
    return round(Fraction(2**16 * 2 ** (-j / 1024))) >> min(i, 31)


def errors(config, y, label, lanes):
    """Errors and probabilities of a sample, step by step; `lanes` are those of the generators."""
    powers = [exponential(max(y) - value, config.outputs.fl) for value in y]
    found = []
    for k, power in enumerate(powers):
        p = power * 2**16 // sum(powers)
        z = p - (2**16 if k == label else 0)
        conversion = Conversion(fraction=16, target=config.error, rounding=config.rounding)
        r = lanes[k % config.generators].addend(conversion.dropped) if lanes else 0
        found.append((int(conversion.apply(np.array([z]), np.array([r]))[0]), p))
    for lane in lanes:  # all leap together, also those that no class is left for
        while lane.count < max(other.count for other in lanes):
            lane.addend(0)
    return found


class Counted(OneByOne):
    """A lane that counts its draws."""

    count = 0

    def addend(self, dropped):
        self.count += 1
        return super().addend(dropped)


@pytest.mark.parametrize("rounding", [EVEN, Rounding.STOCHASTIC, Rounding.NEAREST_DOWN])
@pytest.mark.parametrize("generators", [1, 3, 4])
def test_samples_have_the_errors_of_the_rule(rounding, generators):
    config = SoftmaxConfig(
        classes=4, outputs=Fixed(4, 8), rounding=rounding, generators=generators, first_lane=2
    )
    rng = np.random.default_rng(generators)
    samples = rng.integers(-2048, 2048, (40, 4)) >> rng.integers(0, 11, (40, 1))
    samples[5], samples[6] = 7, [-2048, 2047, -2048, -2048]
    labels = rng.integers(0, 4, 40)
    lanes = []
    if rounding is Rounding.STOCHASTIC:
        lanes = [Counted(config.generator, 2 + lane) for lane in range(generators)]
    wanted = [
        {"data": error, "probability": p, "last": int(k == 3)}
        for y, label in zip(samples.tolist(), labels.tolist())
        for k, (error, p) in enumerate(errors(config, y, label, lanes))
    ]
    operands = [
        {"data": value, "label": int(label)}
        for y, label in zip(samples.tolist(), labels)
        for value in y
    ]
    assert Bench(hdl.Softmax(config), gaps=[0, 0, 1]).run(operands, 160) == wanted


def test_both_tables_are_that_of_the_definition():
    for j, entry in enumerate(table()):
        power = 1 << (17 * 1024 - j)
        assert (2 * entry - 1) ** 1024 < power < (2 * entry + 1) ** 1024
        assert TABLE[j] == entry
    assert LOG2_E == 94548 == 4 * (23 * 1024 + 85)


# Times


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2, 0, 1], [0]), ([0], [0, 9, 1]), ([1, 0, 0], [90, 0])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_latency_and_stalls_are_those_of_the_configuration(classes, gaps, stalls):
    config = SoftmaxConfig(classes=classes, rounding=EVEN)
    assert config.latency == classes + 37
    samples = 30
    operands = [{"data": k % 50, "label": 0} for k in range(samples * classes)]
    bench = Bench(hdl.Softmax(config), gaps, stalls)
    results = bench.run(operands, len(operands))
    assert [result["last"] for result in results] == [*[0] * (classes - 1), 1] * samples
    lasts = bench.accepted[classes - 1 :: classes]
    firsts = bench.left[::classes]
    if stalls == [0]:
        assert bench.left == [clock + config.latency + k for clock in lasts for k in range(classes)]
    else:
        assert all(first >= last + config.latency for first, last in zip(firsts, lasts))
    if gaps == [0]:  # only a last output ever waits
        waits = np.diff(bench.accepted) - 1
        assert not any(w for k, w in enumerate(waits, 1) if k % classes != classes - 1)
    if gaps == stalls == [0]:
        assert bench.accepted == list(range(len(operands)))


def test_without_stalls_samples_leave_without_a_gap():
    config = SoftmaxConfig(classes=7)
    clocks = 40 * 7 + config.latency
    one = np.ones(clocks, int)
    inputs = {"i_valid": one, "o_ready": one, "i_data": one, "i_label": 0 * one}
    trace = golden.Softmax(config).run(inputs)
    assert trace["i_ready"].all()
    begins = 6 + config.latency
    assert not trace["o_valid"][:begins].any()
    assert trace["o_valid"][begins:].all()


def test_a_sample_waits_for_places_of_all_its_errors():
    config = SoftmaxConfig(classes=5, rounding=EVEN)
    clocks = 400
    one = np.ones(clocks, int)
    inputs = {"i_valid": one, "o_ready": 0 * one, "i_data": one, "i_label": 0 * one}
    trace = golden.Softmax(config).run(inputs)
    accepted = int(trace["i_ready"].sum())
    assert accepted == config.buffer // 5 * 5 + 4
    assert compare(hdl.Softmax(config), {"rst": 0 * one, **inputs}, golden.Softmax(config), "pysim")


# Extremes


def test_the_stimulus_reaches_the_extremes():
    config = SoftmaxConfig()
    inputs = golden.Softmax(config).legal(np.random.default_rng(0), 10_000)
    trace = golden.Softmax(config).run(inputs)
    left = (trace["o_valid"] & inputs["o_ready"]).astype(bool)
    probability, data = trace["o_probability"][left], trace["o_data"][left]
    for p in (0, 1, 6553, 32768, 65536):  # 6553: all outputs are equal; 32768: two maxima
        assert np.count_nonzero(probability == p) > 3, p
    assert {-16384, 0, 16384} <= set(data.tolist())
    assert (trace["i_ready"] == 0).mean() > 0.05
    assert inputs["rst"].any()


@pytest.mark.parametrize("classes", [2, 64, 1024])
def test_one_output_far_above_all_others_has_probability_1(classes):
    y = np.full((1, classes), -100)
    y[0, 1] = 127
    assert softmax(y, 2)[0].tolist() == [0, 1 << 16, *[0] * (classes - 2)]
    assert softmax(0 * y, 2)[0].tolist() == [(1 << 16) // classes] * classes


def test_more_generators_than_classes_change_nothing():
    few = SoftmaxConfig(classes=3, generators=3)
    many = SoftmaxConfig(classes=3, generators=200)
    inputs = golden.Softmax(few).legal(np.random.default_rng(0), 500)
    traces = [golden.Softmax(config).run(inputs) for config in (few, many)]
    assert all((traces[0][name] == values).all() for name, values in traces[1].items())
    assert many.lanes == 3
    with pytest.raises(ValueError, match="lanes"):
        SoftmaxConfig(first_lane=100, generators=200)
    with pytest.raises(ValueError, match="classes = 1: allowed are 2 to 1024"):
        SoftmaxConfig(classes=1)


# The pipelines by themselves


def piped(pipeline, operands):
    """Results of a pipeline for operands in successive clocks, and the clocks they took."""
    found = []

    async def bench(ctx):
        for clock in range(len(operands) + 40):
            given = clock < len(operands)
            ctx.set(pipeline.operand.valid, int(given))
            if given:
                ctx.set(pipeline.operand.payload, operands[clock])
            if ctx.get(pipeline.result.valid):
                (name,) = pipeline.result.payload.shape().members
                found.append((clock, int(ctx.get(pipeline.result.payload[name]))))
            await ctx.tick()

    simulator = Simulator(pipeline)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("outputs", [Fixed(6, 10), Fixed(1, 5), Fixed(8, 0), Fixed(5, 3)], ids=str)
def test_exponentials_alone(outputs):
    config = SoftmaxConfig(outputs=outputs)
    most = (1 << outputs.width) - 1
    x = [*range(min(most + 1, 300)), most, most - 1]
    x += np.random.default_rng(1).integers(0, most + 1, 300).tolist()
    x += [min(most, (16 << outputs.fl) + d) for d in (-1, 0, 1)]
    found = piped(ExponentialPipeline(config), [{"distance": value} for value in x])
    assert found == [(k + 8, exponential(value, outputs.fl)) for k, value in enumerate(x)]


@pytest.mark.parametrize("classes", [2, 10, 1024])
def test_quotients_alone(classes):
    rng, one = np.random.default_rng(classes), 1 << 16
    sums = [one, one + 1, classes * one, classes * one - 1, 1, 2, 3]
    sums += rng.integers(one, classes * one, 300).tolist()
    pairs = [(n, d) for d in sums for n in (0, 1, min(d, one), min(d, one) - 1, one // 3) if n <= d]
    operands = [{"numerator": n, "divisor": d} for n, d in pairs]
    found = piped(QuotientPipeline(SoftmaxConfig(classes=classes)), operands)
    assert found == [(k + 17, n * one // d) for k, (n, d) in enumerate(pairs)]


# Faults

FAULTS = {
    "a tie": ("exponential", "(once << 4) + seven", "(once << 4) - seven"),
    "a far output": ("exponential", "Mux(far, 0, ", "Mux(far, 1, "),
    "the remainder's sign": ("quotient", "negative = remainder[-1]", "negative = remainder[-2]"),
    "a sample's first output": ("unit", "begins | (output > largest)", "(output > largest)"),
    "the maximum's time": (
        "unit",
        "maximum.eq(largest)",
        "maximum.eq(Mux(taken & (output > largest), output, largest))",
    ),
    "the sum's first": ("unit", "Mux(sum_begins, 0, total)", "total"),
    "a place": ("unit", "Mux(place.last, 0, place.number + 1)", "place.number + 1"),
    "the target": ("unit", "less = right & ~one", "less = right"),
    "the generators' turn": ("unit", "due & (last | (turn", "due & ((turn"),
    "the label's time": ("unit", "with m.If(claim):", "with m.If(accepted):"),
    "the claim": ("unit", "buffer.claim.eq(claim)", "buffer.claim.eq(accepted)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows(name, monkeypatch):
    part, old, new = FAULTS[name]
    module = importlib.import_module(f"hdl.softmax.{part}")
    source = Path(module.__file__).read_text()
    assert source.count(old) == 1
    broken = {"__name__": module.__name__}
    exec(compile(source.replace(old, new), module.__file__, "exec"), broken)
    kind = {
        "exponential": "ExponentialPipeline",
        "quotient": "QuotientPipeline",
        "unit": "Softmax",
    }[part]
    monkeypatch.setattr(gates, kind, broken[kind])
    config = SoftmaxConfig(classes=5, outputs=Fixed(6, 6), generators=2)
    assert not agree(config, 1500, 1, component=gates.Softmax)


def test_another_seed_gives_other_errors():
    traces = []
    for seed in (1, 2):
        config = SoftmaxConfig(generator=Generator(seed=seed))
        inputs = golden.Softmax(config).legal(np.random.default_rng(0), 500)
        traces.append(golden.Softmax(config).run(inputs))
    assert (traces[0]["o_probability"] == traces[1]["o_probability"]).all()
    assert (traces[0]["o_data"] != traces[1]["o_data"]).any()
