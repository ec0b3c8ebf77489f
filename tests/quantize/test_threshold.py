"""The threshold quantizer: hardware against twin and against loops, loads, and HWGQ's networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives import needs_yosys
from support import SEEDS, agrees

import golden
import hdl
from boards.flow.yosys import synthesise
from boards.target import find
from golden.datasets import digits
from golden.port import inputs_of
from golden.quantize.folding import QUANTIZERS, Folded, Levels, fold
from golden.quantize.threshold import ThresholdQuantizerConfig, quantize
from golden.training import new_trainer
from golden.training.layers.float import EPSILON, Normalised
from golden.training.layers.windows import unpool
from golden.training.step.ops import Float, FloatPart, Pool, Product
from golden.training.systems.hwgq import trainer as hwgq
from golden.training.toml import load
from gradloom import compare, prepare, usual_inputs, verilog
from gradloom.train.threshold_stimulus import threshold_stimulus
from gradloom.units import UNITS

SMALL = ThresholdQuantizerConfig(width=8, channels=6, lanes=2)
#: The number of a lane can be that of one which does not exist.
THREE = ThresholdQuantizerConfig(width=8, channels=7, lanes=3)


@st.composite
def quantizers(draw):
    return ThresholdQuantizerConfig(
        width=draw(st.integers(2, 61)),
        levels=draw(st.integers(2, 16)),
        channels=draw(st.integers(1, 40)),
        lanes=draw(st.integers(1, 5)),
        read_clocks=draw(st.integers(1, 2)),
    )


@settings(max_examples=60)
@given(quantizers(), SEEDS)
def test_threshold_quantizers_agree(config, seed):
    """Also where resets are many: none of them changes a threshold."""
    agrees(hdl.ThresholdQuantizer(config), golden.ThresholdQuantizer(config), 200, seed)


@settings(max_examples=15)
@given(quantizers(), SEEDS)
def test_they_agree_at_their_borders(config, seed):
    inputs = usual_inputs(UNITS["threshold"], config, 500, seed)
    comparison = compare(hdl.ThresholdQuantizer(config), inputs)
    assert comparison, comparison.report()


@pytest.mark.parametrize("read", [1, 2])
@pytest.mark.parametrize(("levels", "width"), [(2, 61), (3, 21), (4, 9), (16, 12)])
def test_the_compiled_simulator_agrees(levels, width, read):
    config = ThresholdQuantizerConfig(
        width=width, levels=levels, channels=70, lanes=8, read_clocks=read
    )
    inputs = usual_inputs(UNITS["threshold"], config, 20_000, levels)
    comparison = compare(hdl.ThresholdQuantizer(config), inputs, simulator="cxxrtl")
    assert comparison, comparison.report()


def test_borders_are_on_both_sides_of_every_threshold():
    """In each lane, plain and negated, every threshold of the operand is met and just passed."""
    config = ThresholdQuantizerConfig(width=8, channels=6, lanes=2)
    seen = set()
    for border in config.borders():
        ports, table = border.ports, {}
        for clock in range(len(ports["load"])):
            for lane in range(2):
                block = int(ports["i_block"][clock])
                thresholds, negative = table.get((block, lane), ([0] * 4, 0))
                acc = int(ports["i_data"][clock, lane])
                for step, threshold in enumerate(thresholds):
                    above = (-acc if negative else acc) - threshold
                    if above in (0, 1):
                        seen.add((lane, step, negative, above))
            if ports["load"][clock]:
                where = int(ports["load_block"][clock]), int(ports["load_lane"][clock])
                loaded = ports["load_thresholds"][clock].tolist()
                table[where] = loaded, int(ports["load_negative"][clock])
    assert len(seen) == 2 * 4 * 2 * 2


# In the hardware, beside plain loops


def looped(config, inputs, ready):
    """Codes and masks of the operands that `ready` accepts, clock by clock and sum by sum."""
    table, found = {}, []
    for clock in range(len(ready)):
        if inputs["i_valid"][clock] and ready[clock]:
            codes, masks = [], []
            for lane, acc in enumerate(inputs["i_data"][clock].tolist()):
                channel = int(inputs["i_block"][clock]) * config.lanes + lane
                thresholds, negative = table.get(channel, ([0] * config.levels, 0))
                passed = [(-acc if negative else acc) > threshold for threshold in thresholds]
                codes.append(sum(passed[:-1]))
                masks.append(int(passed[0] and not passed[-1]))
            found.append((codes, masks))
        lane = int(inputs["load_lane"][clock]) if config.lanes > 1 else 0
        if inputs["load"][clock] and lane < config.lanes:
            channel = int(inputs["load_block"][clock]) * config.lanes + lane
            thresholds = inputs["load_thresholds"][clock].tolist()
            table[channel] = thresholds, int(inputs["load_negative"][clock])
    return found


@pytest.mark.parametrize(
    ("offered", "taken"),
    [(1, 1), (0.3, 1), (1, 0.3), (0.6, 0.6)],
    ids=["free", "gaps", "stalls", "both"],
)
@pytest.mark.parametrize("config", [THREE, ThresholdQuantizerConfig(width=6, levels=5, channels=3)])
def test_every_operand_has_the_thresholds_of_its_clock(config, offered, taken):
    """Loads at any clock, of any channel, and of lanes that do not exist."""
    rng = np.random.default_rng(int(10 * offered + taken))
    clocks = 600
    inputs = usual_inputs(UNITS["threshold"], config, clocks, 5)
    inputs["i_valid"] = (rng.random(clocks) < offered).astype(np.int64)
    inputs["o_ready"] = (rng.random(clocks) < taken).astype(np.int64)
    inputs["load"] = rng.integers(0, 2, clocks)
    inputs["rst"] = np.zeros(clocks, np.int64)
    inputs["i_valid"][-60:], inputs["o_ready"][-60:] = 0, 1
    outputs = prepare(hdl.ThresholdQuantizer(config)).run(inputs)
    left = (outputs["o_valid"] & inputs["o_ready"]) != 0
    found = list(zip(outputs["o_data"][left].tolist(), outputs["o_passes"][left].tolist()))
    assert found == looped(config, inputs, outputs["i_ready"])
    assert {code for codes, _ in found for code in codes} == set(range(config.levels))
    if offered == taken == 1:
        accepted = np.flatnonzero(inputs["i_valid"])
        assert len(accepted) == clocks - 60
        assert np.flatnonzero(left).tolist() == (accepted + config.latency).tolist()


def idle(config, clocks):
    """Inputs without an operand and without a load; results are taken."""
    inputs = {port.name: np.zeros(port.shape(clocks), np.int64) for port in inputs_of(config.ports)}
    inputs["o_ready"][:] = 1
    return inputs


@pytest.mark.parametrize("read", [1, 2])
@pytest.mark.parametrize("late", range(-2, 9))
def test_a_load_counts_for_operands_of_later_clocks(late, read):
    """The load of clock 3 + `late`, and an operand that is accepted at clock 3."""
    config = ThresholdQuantizerConfig(width=8, levels=3, channels=2, read_clocks=read)
    inputs = idle(config, 20)
    inputs["i_valid"][3], inputs["i_data"][3], inputs["i_block"][3] = 1, 5, 1
    inputs["load"][3 + late], inputs["load_block"][3 + late] = 1, 1
    inputs["load_thresholds"][3 + late] = 2, 5, 7
    outputs = prepare(hdl.ThresholdQuantizer(config)).run(inputs)
    assert np.flatnonzero(outputs["o_valid"]).tolist() == [3 + config.latency]
    found = outputs["o_data"][3 + config.latency], outputs["o_passes"][3 + config.latency]
    assert found == ((1, 1) if late < 0 else (2, 0))


def test_a_reset_keeps_the_table_and_drops_operands():
    config = ThresholdQuantizerConfig(width=8, levels=2, channels=2)
    inputs = idle(config, 24)
    inputs["load"][0], inputs["load_thresholds"][0], inputs["load_negative"][0] = 1, (3, 9), 1
    inputs["i_valid"][[2, 8]], inputs["i_data"][[2, 8]] = 1, -5
    inputs["rst"][4] = 1
    # A load in the clock of the reset counts.
    inputs["load"][4], inputs["load_block"][4], inputs["load_thresholds"][4] = 1, 1, (4, 9)
    inputs["i_valid"][9], inputs["i_data"][9], inputs["i_block"][9] = 1, 5, 1
    comparison = compare(hdl.ThresholdQuantizer(config), inputs)
    assert comparison, comparison.report()
    outputs = golden.ThresholdQuantizer(config).run(inputs)
    assert np.flatnonzero(outputs["o_valid"]).tolist() == [14, 15]
    assert outputs["o_data"][14:16, 0].tolist() == [1, 1]


@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_lane_j_of_block_c_is_channel_c_times_lanes_plus_j(lanes):
    """Ten channels with a threshold of their own, so that the last block is partial."""
    config = ThresholdQuantizerConfig(width=8, levels=2, channels=10, lanes=lanes)
    own = np.arange(10)
    folded = Folded(thresholds=np.stack([own, own + 1], axis=1), negative=own % 2 == 1)
    acc = np.arange(-14, 14)[:, None] * np.ones(10, np.int64)
    stimulus, expected = threshold_stimulus(config, folded, acc)
    inputs = idle(config, len(stimulus["load"]) + config.latency)
    for name, values in stimulus.items():
        inputs[name][: len(values)] = values
    outputs = prepare(hdl.ThresholdQuantizer(config)).run(inputs)
    left = outputs["o_valid"] != 0
    for name, fields in expected.items():
        assert np.array_equal(
            outputs[f"o_{name}"][left][fields.counted], fields.values[fields.counted]
        )
    # Sum 5 in channel 4 and -6 in channel 5 are the first that pass, and the only ones that errors
    # pass.
    block, lane = divmod(4, lanes)
    masks = outputs["o_passes"][left].reshape(len(acc), -1, lanes)
    assert acc[masks[:, block, lane] != 0, 4].tolist() == [5]
    block, lane = divmod(5, lanes)
    assert acc[masks[:, block, lane] != 0, 5].tolist() == [-6]


def test_what_cannot_be_loaded_is_refused():
    config = ThresholdQuantizerConfig(width=4, levels=3, channels=2)
    three = Folded(thresholds=np.zeros((3, 3), np.int64), negative=np.zeros(3, bool))
    with pytest.raises(ValueError, match=r"thresholds of \(3, 3\): at most 2 channels and 3 steps"):
        config.loads(three)
    with pytest.raises(ValueError, match=r"thresholds of \(1, 4\): at most 2 channels and 3 steps"):
        config.loads(Folded(thresholds=np.zeros((1, 4), np.int64), negative=np.zeros(1, bool)))
    for wrong in (16, -17):
        wide = Folded(thresholds=np.full((1, 3), wrong), negative=np.zeros(1, bool))
        with pytest.raises(ValueError, match="a threshold has more than 5 bits"):
            config.loads(wide)


@pytest.mark.parametrize("width", [2, 5, 61])
def test_thresholds_that_fold_cuts_can_be_loaded(width):
    """Those of channels without gamma are just outside of the sums."""
    steps = QUANTIZERS[Levels.UNIFORM].steps
    folded = fold(gamma=[0, 0], beta=[-1, 9], mean=[0, 0], variance=[1, 1], epsilon=0, scale=1,
                  steps=steps, width=width)  # fmt: skip
    config = ThresholdQuantizerConfig(width=width, channels=2)
    loads = config.loads(folded)
    inputs = idle(config, 20)
    for name, values in loads.items():
        inputs[name][:2] = values
    low = -(1 << (width - 1))
    inputs["i_valid"][2:6] = 1
    inputs["i_data"][2:6, 0] = low, -1 - low, low, -1 - low
    inputs["i_block"][2:6] = 0, 0, 1, 1
    outputs = prepare(hdl.ThresholdQuantizer(config)).run(inputs)
    assert outputs["o_data"][outputs["o_valid"] != 0, 0].tolist() == [0, 0, 3, 3]


# Networks

#: The recipe hwgq-cnn at the digits' size: convolutions, pooling, a partial last block.
CHANGES = ("network=6C3-MP2-9C2p1-18FC", "batch=30", "epochs=1")


def trained(levels):
    """Data, and a network after some steps, some channels of it turned round or without a slope."""
    data = digits()
    recipe = load("hwgq-cnn", [*CHANGES, f"levels={levels}"])
    trainer = new_trainer(recipe, data)
    for step in range(12):
        chosen = slice(step * 30, (step + 1) * 30)
        trainer.step(data.train_images[chosen], data.train_labels[chosen])
    rng = np.random.default_rng(3)
    for layer in range(trainer.layers - 1):
        gamma = trainer.gammas[layer]
        gamma *= rng.choice([-1.5, -0.5, 0.5, 1.5], gamma.size).astype(gamma.dtype)
        gamma[[0, -1]] = 0, -0.75
        trainer.biases[layer] += rng.normal(0.3, 0.5, gamma.size).astype(gamma.dtype)
    return data, trainer


def through(config, stimuli):
    """Outputs of the unit on the compiled simulator, one stimulus behind the other, as its twin has
    them; codes and masks of all vectors.
    """
    names = stimuli[0].keys()
    inputs = {name: np.concatenate([one[name] for one in stimuli]) for name in names}
    inputs = {
        name: np.pad(values, [(0, config.latency)] + [(0, 0)] * (values.ndim - 1))
        for name, values in inputs.items()
    }
    clocks = len(inputs["load"])
    inputs |= {"o_ready": np.ones(clocks, np.int64), "rst": np.zeros(clocks, np.int64)}
    component = hdl.ThresholdQuantizer(config)
    comparison = compare(component, inputs, simulator="cxxrtl")
    assert comparison, comparison.report()
    outputs = golden.ThresholdQuantizer(config).run(inputs)
    left = outputs["o_valid"] != 0
    return outputs["o_data"][left], outputs["o_passes"][left]


def quantizer_of(trainer, **more):
    hidden = range(trainer.layers - 1)
    widths = [(trainer._bound(k) * trainer.stages[k].inputs).bit_length() + 1 for k in hidden]
    return ThresholdQuantizerConfig(
        width=max(widths),
        levels=len(trainer.recipe.quantizer.words),
        channels=max(trainer.stages[layer].outputs for layer in hidden),
        lanes=4,
        **more,
    )


@pytest.mark.parametrize(("levels", "read"), [("uniform", 2), ("two", 1)])
def test_an_evaluation_of_hwgq_runs_through_the_unit(levels, read, monkeypatch):
    """All sums of an evaluation; a layer's table is loaded right behind the sums before it."""
    data, trainer = trained(levels)
    noted = []

    def noting(acc, folded):
        code, passes = quantize(acc, folded)
        noted.append((acc, folded, code, passes))
        return code, passes

    with monkeypatch.context() as patch:
        patch.setattr(hwgq, "quantize", noting)
        trainer.evaluate(data.test_images, data.test_labels)
    assert len(noted) >= trainer.layers - 1
    assert any(folded.negative.any() for _, folded, _, _ in noted)
    config = quantizer_of(trainer, read_clocks=read)
    made = [
        threshold_stimulus(config, folded, acc.reshape(-1, acc.shape[-1]))
        for acc, folded, _, _ in noted
    ]
    codes, masks = through(config, [stimulus for stimulus, _ in made])
    at = 0
    for (_, _, code, passes), (_, expected) in zip(noted, made):
        counted = expected["data"].counted
        here = slice(at, at + len(counted))
        # Vectors are blocks of a row's channels: with the padding left out, they are the tensor.
        assert np.array_equal(codes[here][counted], code.ravel())
        assert np.array_equal(masks[here][counted], passes.ravel())
        assert len(np.unique(code)) == len(trainer.recipe.quantizer.words)
        at += len(counted)
    assert at == len(codes)


@pytest.mark.parametrize("levels", Levels)
def test_the_backward_masks_of_a_step_run_through_the_unit(levels):
    """Thresholds of the batch's statistics: all masks of training, but where a float is so close to
    a step that its rounding decides.
    """
    data, trainer = trained(levels)
    hidden, record = range(trainer.layers - 1), []
    gammas, betas = (
        [values.copy() for values in part] for part in (trainer.gammas, trainer.biases)
    )
    scales = [trainer._sum_scale(layer) for layer in hidden]
    trainer.step(data.train_images[500:530], data.train_labels[500:530], record)
    config, steps = quantizer_of(trainer), trainer.recipe.quantizer.steps
    made, known = [], []
    for layer in hidden:
        entries = [entry for entry in record if entry.operation.layer == layer + 1]
        product = next(e for e in entries if isinstance(e.operation, Product))
        parts = {e.operation.part: e for e in entries if isinstance(e.operation, Float)}
        y = parts[FloatPart.NORMALISE].tensors["out"]
        batch = Normalised.of(parts[FloatPart.SCALE].tensors["out"], gammas[layer], betas[layer])
        folded = fold(
            gamma=gammas[layer],
            beta=betas[layer],
            mean=batch.mean,
            variance=batch.variance,
            epsilon=EPSILON,
            scale=scales[layer],
            steps=steps,
            width=config.width,
        )
        assert folded.negative.any() and not folded.negative.all() and 0 in gammas[layer]
        acc = product.tensors["out"]
        made.append(threshold_stimulus(config, folded, acc))
        known.append((entries, acc, folded, y))
    _, masks = through(config, [stimulus for stimulus, _ in made])
    at = 0
    for layer, (entries, acc, folded, y), (_, expected) in zip(hidden, known, made):
        counted = expected["passes"].counted
        mask = masks[at : at + len(counted)][counted].reshape(acc.shape)
        at += len(counted)
        assert np.array_equal(mask, quantize(acc, folded)[1])
        sure = np.min([np.abs(y - float(step)) for step in (steps[0], steps[-1])], axis=0) > 1e-4
        assert sure.mean() > 0.99
        assert np.array_equal(mask[sure], ((y > 0) & (y <= np.float32(steps[-1])))[sure])
        assert 0.1 < mask.mean() < 0.9
        # The mask that training noted is that of the pooled sums: of the maximum in each window.
        active = next(e for e in entries if "active" in e.tensors)
        pools = [e for e in entries if isinstance(e.operation, Pool)]
        noted, where = active.tensors["active"], np.ones(acc.shape, bool)
        if pools:
            stage, matrix = trainer.stages[layer], pools[0].operation.writes[0].matrix
            first = matrix.tensor(pools[0].tensors["first"]).reshape(-1, *stage.pooled)
            whole = pools[0].operation.reads[0].matrix
            noted = matrix.tensor(noted).reshape(first.shape)
            spread = [
                whole.of(unpool(values.astype(np.int64), first, stage.pool, stage.sums))
                for values in (noted, np.ones_like(noted))
            ]
            noted, where = spread[0], spread[1] != 0
        assert np.array_equal(mask[where & sure], noted[where & sure].astype(np.int64))
    assert at == len(masks)


# Faults


@pytest.mark.parametrize(
    ("port", "change"),
    [
        ("i_block", 1),
        ("load_block", 1),
        ("load_negative", 1),
        ("load_thresholds", 1),
        ("i_data", 1),
    ],
)
def test_the_twin_reads_every_port_of_the_table(port, change):
    inputs = usual_inputs(UNITS["threshold"], SMALL, 400, 2)
    expected = golden.ThresholdQuantizer(SMALL).run(inputs)
    wrong = golden.ThresholdQuantizer(SMALL).run({**inputs, port: inputs[port] ^ change})
    assert any(not np.array_equal(wrong[name], expected[name]) for name in expected)


# Memories of devices


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "channels", "read", "memories"),
    [
        # One distributed memory is that of the output FIFO.
        ("ecp5-25f", 16, 1, {"TRELLIS_DPR16X4": 14 + 1}),
        ("ecp5-25f", 512, 2, {"TRELLIS_DPR16X4": 1, "DP16KD": 2}),
        ("ice40-up5k", 256, 2, {"SB_RAM40_4K": 4}),
    ],
)
def test_a_table_becomes_memory_and_no_multiplier_is_used(target, channels, read, memories):
    """A word of 4 thresholds of 13 bits and a sign is 53 bits wide."""
    config = ThresholdQuantizerConfig(width=12, channels=channels, read_clocks=read)
    text = verilog(hdl.ThresholdQuantizer(config), name="threshold")
    cells = synthesise(text, "threshold", find(target)).cells
    kinds = ("TRELLIS_DPR16X4", "DP16KD", "SB_RAM40_4K", "MULT18X18D", "SB_MAC16")
    assert {kind: cells[kind] for kind in kinds if kind in cells} == memories
