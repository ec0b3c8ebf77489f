"""Every twin, cut anywhere: advances of any length equal one run, and a state stays small."""

import pickle
from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np
import pytest
from forms import forms
from generated import CASES, configured
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS

import golden
from golden.fixed import Fixed
from golden.lfsr import Lanes
from golden.port import inputs_of, outputs_of
from golden.quantize import shift_exponent
from gradloom.sim.stimulus import random_inputs, usual_inputs
from gradloom.units import UNITS

#: Beside those of the generated files: products so wide that float64 holds few of their sums, and
#: mixed arrays with rounders.
MORE = [
    ("array", "--rows 2 --columns 2 --a 1,23 --b 1,23 --depth 9 --raw"),
    (
        "array",
        "--rows 4 --columns 3 --a 2,6 --b 2,6 --multipliers 2,2 --ternary-depth 100 "
        "--conversion 12:2,6:stochastic --conversion 10:3,5:nearest-even",
    ),
    ("macc", "--a 1,23 --b 1,23 --depth 30000 --segments 4"),
]
ALL = [pytest.param(*case, id=" ".join(case).strip()) for case in CASES + MORE]
every_unit = pytest.mark.parametrize(("name", "arguments"), ALL)


@cache
def twin_of(name, arguments):
    unit, config = configured(name, arguments)
    return unit.twin(config)


@cache
def usual(name, arguments, clocks=700):
    """Operands from the unit's borders among random ones, with resets, gaps and long stalls."""
    return usual_inputs(*configured(name, arguments), clocks, 11)


def advances(twin, inputs, cuts):
    """The outputs of advances that end at these clocks, and the states between them."""
    clocks = len(next(iter(inputs.values())))
    state, states, parts = twin.initial(), [], []
    for start, stop in zip([0, *cuts], [*cuts, clocks]):
        states.append(state)
        span = {name: values[start:stop] for name, values in inputs.items()}
        state, part = twin.advance(state, span)
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, states


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        assert got[name].dtype == values.dtype == np.int64, name
        assert np.array_equal(got[name], values), name


def test_every_unit_is_among_the_cases():
    assert {name for name, _ in CASES} == set(UNITS)


@pytest.mark.parametrize("length", [1, 2, 7])
@every_unit
def test_advances_of_a_few_clocks_equal_one_run(name, arguments, length):
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    got, _ = advances(twin, inputs, range(length, 700, length))
    assert_same(got, twin.run(inputs))


@every_unit
def test_advances_of_random_lengths_equal_one_run(name, arguments):
    twin = twin_of(name, arguments)

    @settings(max_examples=10)
    @given(SEEDS, st.lists(st.integers(1, 399), max_size=12, unique=True))
    def holds(seed, cuts):
        inputs = random_inputs(twin.ports, 400, seed)
        got, _ = advances(twin, inputs, sorted(cuts))
        assert_same(got, twin.run(inputs))

    holds()


@every_unit
def test_a_state_can_be_advanced_again(name, arguments):
    """Also in another process, also after the twin has run and has gone on from later states."""
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    expected, states = advances(twin, inputs, range(50, 700, 50))
    twin.run(inputs)
    for number in (13, 0, 5, 5):
        for state in (states[number], pickle.loads(pickle.dumps(states[number]))):
            start = 50 * number
            span = {port: values[start : start + 50] for port, values in inputs.items()}
            _, outputs = twin.advance(state, span)
            assert_same(outputs, {port: v[start : start + 50] for port, v in expected.items()})


@every_unit
def test_outputs_belong_to_the_caller(name, arguments):
    """What is written to them, or to the inputs, afterwards changes no later clock."""
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    expected, state = twin.run(inputs), twin.initial()
    for start in range(0, 700, 100):
        span = {port: values[start : start + 100].copy() for port, values in inputs.items()}
        state, outputs = twin.advance(state, span)
        assert_same(outputs, {port: v[start : start + 100] for port, v in expected.items()})
        for values in (*outputs.values(), *span.values()):
            values[...] = 1


@every_unit
def test_a_run_gives_every_output_port_and_needs_no_reset(name, arguments):
    twin, inputs = twin_of(name, arguments), dict(usual(name, arguments))
    inputs["rst"] = np.zeros(700, int)
    expected = twin.run(inputs)
    assert {port: values.shape for port, values in expected.items()} == {
        port.name: port.shape(700) for port in outputs_of(twin.ports)
    }
    del inputs["rst"]
    assert_same(twin.run(inputs), expected)


def narrowest(port):
    """The narrowest types that hold a port: of 1 bit also bool."""
    kinds = [np.int8, np.int16, np.int32, np.int64] + [np.uint8, np.uint16, np.uint32, np.uint64]
    holds = [
        kind
        for kind in kinds
        if np.iinfo(kind).min <= port.minimum and port.maximum <= np.iinfo(kind).max
    ]
    size = min(np.iinfo(kind).bits for kind in holds)
    boolean = [bool] if port.width == 1 and not port.signed else []
    return boolean + [kind for kind in holds if np.iinfo(kind).bits == size]


@every_unit
def test_narrow_integers_give_the_same_values(name, arguments):
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    ports = inputs_of(twin.ports)
    expected = twin.run(inputs)
    for number in range(max(len(narrowest(port)) for port in ports)):
        kinds = {port.name: narrowest(port) for port in ports}
        narrow = {
            port: values.astype(kinds[port][number % len(kinds[port])])
            for port, values in inputs.items()
        }
        assert_same(twin.run(narrow), expected)


@every_unit
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_inputs_of_any_form_give_the_same_values(name, arguments, data):
    """They are read alone: what cannot be written stays as it is, and so does what can."""
    twin = twin_of(name, arguments)
    inputs = {port: values[:150] for port, values in usual(name, arguments).items()}
    expected = twin.run(inputs)
    given = {port: data.draw(forms(values), port) for port, values in inputs.items()}
    assert_same(twin.run(given), expected)
    copies = {port: values.copy() for port, values in inputs.items()}
    for values in twin.run(copies).values():
        assert not any(np.shares_memory(values, given) for given in copies.values())
        values[...] = 0
    assert_same(copies, inputs)


@every_unit
def test_bools_are_for_one_unsigned_bit(name, arguments):
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    bits = [port for port in inputs_of(twin.ports) if port.width == 1 and not port.signed]
    flags = {port.name: inputs[port.name].astype(bool) for port in bits}
    expected = twin.run(inputs)
    assert_same(twin.run({**inputs, **flags}), expected)
    assert_same(twin.run({**inputs, **{port: v.tolist() for port, v in flags.items()}}), expected)
    for port in inputs_of(twin.ports):
        if port not in bits:
            wrong = np.zeros_like(inputs[port.name], bool)
            with pytest.raises(TypeError, match=f"^port {port.name} has values of type bool"):
                twin.run({**inputs, port.name: wrong})


def test_what_is_no_mapping_is_refused():
    twin = golden.Lfsr(golden.LfsrConfig())
    for wrong in (None, [1, 2], np.ones(3), twin):
        with pytest.raises(TypeError, match=r"^inputs = .*: a mapping of port names to integers"):
            twin.run(wrong)
    with pytest.raises(ValueError, match=r"^inputs = {}: values of one port or more are wanted$"):
        twin.run({})
    with pytest.raises(ValueError, match=r"^no input port is called 0; there are rst, o_ready$"):
        twin.run({0: [1]})


def test_the_node_has_the_same_sums_for_narrow_operands():
    config = golden.MaccConfig()
    inputs = random_inputs(config.ports, 400, 1)
    narrow = {name: inputs[name].astype(np.int16) for name in ("a", "b")}
    assert_same(golden.Macc(config).run({**inputs, **narrow}), golden.Macc(config).run(inputs))


def arrays(value):
    """All arrays in a state."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from arrays(getattr(value, field.name))
    elif isinstance(value, dict):
        for part in value.values():
            yield from arrays(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from arrays(part)
    elif isinstance(value, Lanes):
        yield from arrays(vars(value))
    else:
        assert isinstance(value, int | str | bool | None), type(value)


@every_unit
def test_a_state_does_not_grow(name, arguments):
    twin, config = twin_of(name, arguments), configured(name, arguments)[1]
    inputs = usual(name, arguments)
    # A tile that never ends is the array's longest memory.
    inputs = {port: values for port, values in inputs.items() if port != "rst"}
    stalled = {port: np.zeros_like(v) if port == "o_ready" else v for port, v in inputs.items()}
    endless = {port: np.zeros_like(v) if port == "i_last" else v for port, v in inputs.items()}
    state, sizes = twin.initial(), []
    for round_ in range(30):
        state, _ = twin.advance(state, (inputs, stalled, endless)[round_ % 3])
        sizes.append(len(pickle.dumps(state)))
        for array in arrays(state):
            assert array.base is None  # no view that keeps a larger array in memory
    assert max(sizes[15:]) <= max(sizes[:15])
    results = getattr(config, "buffer", config.latency + 1)
    row = sum(8 * (port.lanes or 1) for port in outputs_of(twin.ports))
    lanes = sum(array.nbytes for array in arrays(twin.initial()))
    assert max(sizes) < 3000 + results * (row + 8) + 8 * lanes


def test_a_tile_of_a_million_operands_is_kept_as_its_sums():
    """And is exact where no float64 holds it."""
    wide = Fixed(1, 23)
    config = golden.ArrayConfig(
        rows=2,
        columns=2,
        macc=golden.MaccConfig(a=wide, b=wide, depth=16383),
        conversions=(),
    )
    twin, clocks = golden.Array(config), 1 << 14
    rng = np.random.default_rng(1)
    state, total = twin.initial(), np.zeros((2, 2), object)
    for batch in range(64):
        a = rng.integers(wide.maximum - 9, wide.maximum, (clocks, 2), endpoint=True)
        b = rng.integers(wide.maximum - 9, wide.maximum, (clocks, 2), endpoint=True)
        last = np.zeros(clocks, int)
        last[-1] = batch == 63
        ones = np.ones(clocks, int)
        ports = {"i_valid": ones, "i_a": a, "i_b": b, "i_last": last, "o_ready": ones}
        state, outputs = twin.advance(state, ports)
        assert len(pickle.dumps(state)) < 2000
        assert not outputs["o_valid"].any()
        total += a.astype(object).T @ b.astype(object)
    empty = {port: np.zeros((40, *values.shape[1:]), int) for port, values in ports.items()}
    _, outputs = twin.advance(state, {**empty, "o_ready": np.ones(40, int)})
    rows = outputs["o_data"][outputs["o_valid"] == 1]
    modulus = 1 << config.macc.width
    assert np.array_equal(rows[::-1] % modulus, (total % modulus).astype(np.int64))
    assert outputs["o_last"][outputs["o_valid"] == 1].tolist() == [0, 1]


@every_unit
def test_inputs_that_do_not_fit_are_named(name, arguments):
    twin, inputs = twin_of(name, arguments), usual(name, arguments)
    state = twin.initial()

    def refused(kind, message, **changes):
        given = {**inputs, **changes}
        given = {port: values for port, values in given.items() if values is not None}
        for call in (twin.run, lambda bad: twin.advance(state, bad)):
            with pytest.raises(kind) as error:
                call(given)
            assert message in str(error.value)
            assert "\n" not in str(error.value)

    refused(ValueError, "no input port is called wrong;", wrong=inputs["rst"])
    refused(ValueError, "of no clocks", **{port: v[:0] for port, v in inputs.items()})
    for port in inputs_of(twin.ports):
        values = inputs[port.name]
        if port.name != "rst":
            refused(ValueError, f"no values for the port {port.name}", **{port.name: None})
        refused(ValueError, f"'{port.name}': 699", **{port.name: values[:-1]})
        refused(ValueError, f"port {port.name} has the shape", **{port.name: values[..., None]})
        refused(TypeError, f"port {port.name} has values of", **{port.name: values + 0.5})
        for bad in (port.minimum - 1, port.maximum + 1):
            changed = values.copy()
            changed[500:] = bad
            where = f"port {port.name}, clock 500"
            refused(ValueError, where, **{port.name: changed})


def test_a_unit_without_a_reset_goes_on_through_one():
    twin, clocks = golden.Macc(golden.MaccConfig()), 40
    inputs = random_inputs(twin.ports, clocks, 5)
    kept = twin.run({**inputs, "rst": np.zeros(clocks, int)})
    assert_same(twin.run({**inputs, "rst": np.ones(clocks, int)}), kept)


def test_a_reset_at_the_last_clock_of_an_advance_starts_the_next_one_anew():
    twin = golden.Lfsr(golden.LfsrConfig())
    ones = np.ones(9, int)
    first = twin.run({"o_ready": ones})
    state, _ = twin.advance(twin.initial(), {"o_ready": ones, "rst": ones * (np.arange(9) == 8)})
    assert_same(twin.advance(state, {"o_ready": ones})[1], first)


def test_the_exponents_of_the_twin_are_those_of_single_maxima():
    maxima = [0, 1, 2, 3, 5, 6, 11, 12, 22, 23, 741455, 741456]
    maxima += [1 << 61, (1 << 61) - 1, (1 << 60) + 1, 3037000499 << 29]
    clocks = len(maxima)
    ones = np.ones(clocks + 20, int)
    data = np.zeros((clocks + 20, 1), int)
    data[:clocks, 0] = np.array(maxima) * -1
    inputs = {"i_valid": ones, "i_data": data, "i_keep": data * 0 + 1, "i_last": ones}
    for ceil in (False, True):
        twin = golden.ShiftExponent(golden.ShiftExponentConfig(width=62, ceil=ceil))
        trace = twin.run({**inputs, "o_ready": ones})
        shown = trace["o_valid"] == 1
        assert trace["o_maximum"][shown][:clocks].tolist() == maxima
        assert trace["o_exponent"][shown][:clocks].tolist() == [
            shift_exponent(m, ceil) if m else 0 for m in maxima
        ]
