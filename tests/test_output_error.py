"""Outputs minus targets: hardware against twin, both against the sentence of the page, and time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, agrees, codes

import golden
import hdl
from golden.output_error import OutputErrorConfig
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import usual_inputs
from gradloom.units import UNITS


@st.composite
def configurations(draw):
    return OutputErrorConfig(
        width=draw(st.integers(2, 61)),
        classes=draw(st.integers(2, 20) | st.sampled_from([100, 1000, 1024])),
        lanes=draw(st.integers(1, 12)),
        most_one=draw(st.integers(1, 40)),
    )


@settings(max_examples=60)
@given(configurations(), SEEDS)
def test_hardware_and_twin_agree(config, seed):
    agrees(hdl.OutputError(config), golden.OutputError(config), 200, seed)


def test_hardware_and_twin_agree_near_every_label():
    """Random labels of 1,024 classes hardly meet a block; those of the usual stimulus do."""
    for lanes in (1, 7, 16, 28):
        config = OutputErrorConfig(width=9, classes=1000, lanes=lanes)
        inputs = usual_inputs(UNITS["output-error"], config, 1500, lanes)
        trace = golden.OutputError(config).run(inputs)
        agrees(hdl.OutputError(config), golden.OutputError(config), 1500, **inputs)
        assert trace["o_data"].min() < -(1 << 9)  # some lane had the target


def operands_of(config, samples, seed):
    """Samples of random outputs, block after block, with their labels and targets."""
    rng = np.random.default_rng(seed)
    outputs = codes(config.width, (samples, config.classes), seed)
    labels = rng.integers(0, config.classes, samples)
    labels[: config.classes] = np.arange(config.classes)[:samples]
    ones = rng.integers(0, 1 << config.most_one.bit_length(), samples)
    operands, of_one, expected = [], [], []
    for values, label, one in zip(outputs.tolist(), labels.tolist(), ones.tolist()):
        target = 1 << min(one, config.most_one)
        for block in range(config.blocks):
            data, errors, keep = [], [], []
            for number in range(block * config.lanes, (block + 1) * config.lanes):
                real = number < config.classes
                data.append(values[number] if real else int(rng.integers(-2, 2)))
                errors.append(values[number] - target * (number == label) if real else 0)
                keep.append(int(real))
            operand = {"data": data, "label": label}
            if config.block_bits:
                operand["block"] = block
            operands.append(operand)
            of_one.append(one)
            expected.append({"data": errors, "keep": keep})
    return operands, {"one": of_one}, expected


CONFIGS = {
    "one lane": OutputErrorConfig(width=6, classes=5, most_one=6),
    "blocks with padding": OutputErrorConfig(width=8, classes=10, lanes=4, most_one=9),
    "whole blocks": OutputErrorConfig(width=8, classes=8, lanes=2, most_one=5),
    "one block": OutputErrorConfig(width=5, classes=6, lanes=6, most_one=4),
    "one block with padding": OutputErrorConfig(width=5, classes=3, lanes=5, most_one=2),
    "seven lanes": OutputErrorConfig(width=7, classes=100, lanes=7, most_one=8),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_class_has_its_target_and_padding_has_none(name):
    config = CONFIGS[name]
    operands, ports, expected = operands_of(config, max(12, min(config.classes, 24)), 3)
    results = Bench(hdl.OutputError(config), ports=ports).run(operands, len(operands))
    assert results == expected


@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2], [0]), ([0], [0, 0, 4]), ([1, 0, 3], [9, 0, 1])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_a_vector_a_clock_at_the_documented_latency(gaps, stalls):
    config = CONFIGS["blocks with padding"]
    operands, ports, expected = operands_of(config, 20, 4)
    bench = Bench(hdl.OutputError(config), gaps, stalls, ports=ports)
    assert bench.run(operands, len(operands)) == expected
    if stalls == [0]:
        assert bench.left == [clock + config.latency for clock in bench.accepted]
    if (gaps, stalls) == ([0], [0]):
        assert bench.accepted == list(range(len(operands)))


def alone(config, data, label, one, block=0):
    """The twin on one vector."""
    clocks = config.latency + 1
    given = {"i_data": [data] * clocks, "i_label": [label] * clocks, "one": [one] * clocks}
    if config.block_bits:
        given["i_block"] = [block] * clocks
    ready = [1] * clocks
    trace = golden.OutputError(config).run({"i_valid": ready, "o_ready": ready, **given})
    return trace["o_data"][-1].tolist(), trace["o_keep"][-1].tolist()


def test_the_result_has_room_for_the_lowest_output_and_the_largest_target():
    for width, most in ((5, 9), (9, 5), (9, 8), (9, 7), (61, 40)):
        config = OutputErrorConfig(width=width, classes=2, lanes=2, most_one=most)
        low = -1 << (width - 1)
        (first, second), _ = alone(config, [low, -1 - low], 0, most)
        assert (first, second) == (low - (1 << most), -1 - low)
        assert -1 << (config.result_width - 1) <= first
        agrees(hdl.OutputError(config), golden.OutputError(config), 100, width)


def test_what_is_beyond_the_last_class_or_the_largest_target():
    config = OutputErrorConfig(width=8, classes=5, lanes=3, most_one=4)
    assert config.blocks == 2
    assert alone(config, [1, 2, 3], 3, 4, block=1) == ([1 - 16, 2, 0], [1, 1, 0])
    assert alone(config, [1, 2, 3], 3, 7, block=1) == ([1 - 16, 2, 0], [1, 1, 0])
    # A label without a class, in the lane that has none, and beyond all lanes.
    for label in (5, 6, 7):
        assert alone(config, [1, 2, 3], label, 4, block=1) == ([1, 2, 0], [1, 1, 0])
    many = OutputErrorConfig(width=8, classes=9, lanes=3, most_one=4)
    assert alone(many, [1, 2, 3], 9, 4, block=3) == ([0, 0, 0], [0, 0, 0])


def test_errors_of_padding_do_not_count_in_the_maximum():
    """The mask goes to the unit of the exponent as it is."""
    config = OutputErrorConfig(width=12, classes=3, lanes=4, most_one=8)
    data, keep = alone(config, [100, 5, -7, 2000], 0, 8)
    assert (data, keep) == ([-156, 5, -7, 0], [1, 1, 1, 0])
    shift = golden.ShiftExponentConfig(width=config.result_width, lanes=4)
    clocks = shift.latency + 1
    given = {"i_data": [data] * clocks, "i_keep": [keep] * clocks, "i_last": [1] * clocks}
    ready = [1] * clocks
    trace = golden.ShiftExponent(shift).run({"i_valid": ready, "o_ready": ready, **given})
    assert trace["o_maximum"][-1] == 156


def test_the_usual_stimulus_has_both_sides_of_every_decision():
    config = OutputErrorConfig(width=12, classes=10, lanes=4, most_one=9)
    inputs = usual_inputs(UNITS["output-error"], config, 6000, 0)
    outputs = golden.OutputError(config).run(inputs)
    taken = (inputs["i_valid"] & outputs["i_ready"]) == 1
    label, block, one = (inputs[name][taken] for name in ("i_label", "i_block", "one"))
    assert set(zip(label.tolist(), block.tolist())) == {(k, c) for k in range(16) for c in range(4)}
    assert set(one.tolist()) == set(range(16))
    number = block[:, None] * 4 + np.arange(4)
    met = (number == label[:, None]) & (number < 10)
    error = inputs["i_data"][taken] - (1 << np.minimum(one, 9))[:, None]
    assert {-1, 0, 1} <= set(error[met].tolist())
    assert (error[met] < -(1 << 11)).any()


def test_a_reset_at_any_clock_starts_again():
    config = CONFIGS["blocks with padding"]
    for clock in range(14):
        rst = (np.arange(40) == clock).astype(int)
        agrees(hdl.OutputError(config), golden.OutputError(config), 40, clock, rst=rst)


def test_a_product_with_a_constant_has_no_multiplier():
    text = verilog(hdl.OutputError(OutputErrorConfig(classes=100, lanes=7)))
    body = text.partition("`timescale")[2]
    assert " * " not in body
