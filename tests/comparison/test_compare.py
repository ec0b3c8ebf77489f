import gc
import sys
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module
from amaranth.lib import wiring
from forms import LAYOUTS, put
from toys import Counter, CounterTwin, Difference, DifferenceTwin
from vcd.reader import TokenKind, tokenize

import golden.lfsr
import hdl.lfsr
from golden.lfsr import Generator, LfsrConfig, step
from gradloom.comparison.compare import compare
from gradloom.rtl.verilog import verilog
from gradloom.sim.simulators import prepare
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten
from gradloom.units import twin_of

CLOCKS = 400


def stimulus(**widths):
    """Random bits, and a reset now and then."""
    rng = np.random.default_rng(5)
    inputs = {name: rng.integers(0, 2, CLOCKS) for name in widths}
    inputs["rst"] = (rng.random(CLOCKS) < 0.02).astype(np.int64)
    return inputs


ENABLE = stimulus(enable=1)


class Planted:
    """A twin with wrong values at given places."""

    def __init__(self, twin, *places):
        self.twin = twin
        self.places = places

    def initial(self):
        return 0, self.twin.initial()

    def advance(self, state, inputs):
        clock, state = state
        state, trace = self.twin.advance(state, inputs)
        clocks = len(next(iter(trace.values())))
        for name, at, *lane in self.places:
            if clock <= at < clock + clocks:
                trace[name][(at - clock, *lane)] += 1
        return (clock + clocks, state), trace


def test_agreement_is_true_and_counts_what_it_compared():
    comparison = compare(Counter(), ENABLE, CounterTwin())
    assert comparison
    assert comparison.agrees
    assert comparison.difference is None
    assert (comparison.clocks, comparison.values, comparison.mismatches) == (CLOCKS, 2 * CLOCKS, 0)
    assert comparison.clocks_per_second == pytest.approx(CLOCKS / comparison.seconds)
    assert str(comparison).startswith("Counter: 800 values in 400 clocks on pysim agree")
    assert "\n" not in str(comparison)


def test_a_simulation_that_was_built_serves_many_comparisons():
    simulation = prepare(Counter(), "cxxrtl")
    for seed in range(3):
        enable = np.random.default_rng(seed).integers(0, 2, 1000)
        comparison = compare(simulation.component, {"enable": enable}, CounterTwin(), simulation)
        assert comparison, comparison
        assert comparison.simulator == "cxxrtl"


def test_the_earliest_cycle_then_the_first_port_then_the_lowest_lane():
    rng = np.random.default_rng(0)
    inputs = {name: rng.integers(-16, 16, (50, 3)) for name in "ab"}
    expected = DifferenceTwin().run(inputs)["o"]
    for places, cycle, lane in [
        ([("o", 20, 1), ("o", 19, 2)], 19, 2),
        ([("o", 20, 2), ("o", 20, 1), ("o", 30, 0)], 20, 1),
        ([("o", 0, 0)], 0, 0),
        ([("o", 49, 2)], 49, 2),
    ]:
        comparison = compare(Difference(), inputs, Planted(DifferenceTwin(), *places))
        found = comparison.difference
        assert not comparison
        assert (found.cycle, found.port, found.lane) == (cycle, "o", lane)
        assert (found.expected, found.got) == (
            expected[cycle, lane] + 1,
            expected[cycle, lane],
        )
        assert comparison.mismatches == len(places)
    tie = compare(Counter(), ENABLE, Planted(CounterTwin(), ("half", 7), ("count", 7)))
    assert (tie.difference.cycle, tie.difference.port, tie.difference.lane) == (7, "count", None)


def test_a_report_shows_the_cycles_around_the_difference():
    comparison = compare(Counter(), ENABLE, Planted(CounterTwin(), ("half", 9)))
    half = CounterTwin().run(ENABLE)["half"]
    lines = comparison.report().splitlines()
    assert lines[0] == (f"Counter: cycle 9, port half: expected {half[9] + 1}, got {half[9]}")
    assert lines[1] == "1 of 800 values in 400 clocks on pysim differ from the twin"
    assert lines[2].split() == ["cycle", "rst", "enable", "half", "expected", "half", "got"]
    assert [line.split()[-1] for line in lines[3:]] == [str(half[t]) for t in range(4, 12)]
    (marked,) = [line for line in lines if line.startswith(">")]
    assert marked.split()[1:] == [
        "9",
        *map(str, (ENABLE["rst"][9], ENABLE["enable"][9], half[9] + 1, half[9])),
    ]
    assert "cycle 9, port half" in repr(comparison)


def test_outputs_that_are_not_the_components_are_refused():
    class Says:
        def __init__(self, **outputs):
            self.outputs = outputs

        def initial(self):
            return None

        def advance(self, state, inputs):
            return state, self.outputs

    zeros = np.zeros(CLOCKS, np.int64)
    with pytest.raises(ValueError, match="has no values for the output port half"):
        compare(Counter(), ENABLE, Says(count=zeros))
    with pytest.raises(ValueError, match="returns other: the component has no such output port"):
        compare(Counter(), ENABLE, Says(count=zeros, half=zeros, other=zeros))
    with pytest.raises(
        ValueError, match=r"returns half with the shape \(399,\) instead of \(400,\)"
    ):
        compare(Counter(), ENABLE, Says(count=zeros, half=zeros[1:]))
    with pytest.raises(ValueError, match="returns half as float64 instead of integers"):
        compare(Counter(), ENABLE, Says(count=zeros, half=zeros / 2))


def first_wrong(right: Mapping, wrong: Mapping):
    """Cycle, port and lane of the first difference, by a plain search."""
    for cycle in range(CLOCKS):
        for port in right:
            if np.ndim(right[port]) == 1:
                if right[port][cycle] != wrong[port][cycle]:
                    return cycle, port, None
            else:
                for lane, value in enumerate(right[port][cycle]):
                    if value != wrong[port][cycle][lane]:
                        return cycle, port, lane
    raise AssertionError("the mutant does the same")


def counted(by=1, resets=True, late=False):
    """What `Counter` with the same parameters does, clock by clock."""
    state, shown, trace = 3, 0, {"count": [], "half": []}
    for enable, rst in zip(ENABLE["enable"], ENABLE["rst"]):
        trace["count"].append(shown if late else state)
        trace["half"].append(state >> 1)
        shown = 0 if rst else state
        state = 3 if rst and resets else (state + enable * by) % 256
    return trace


@pytest.mark.parametrize(
    ("mutant", "does"),
    [
        (Counter(step=2), counted(by=2)),
        (Counter(resets=False), counted(resets=False)),
        (Counter(late=True), counted(late=True)),
    ],
    ids=["wrong constant", "missing reset", "one clock late"],
)
def test_mutants_of_a_counter_are_caught_at_their_first_wrong_clock(mutant, does):
    found = compare(mutant, ENABLE, CounterTwin()).difference
    assert (found.cycle, found.port, found.lane) == first_wrong(counted(), does)
    assert found.got == does[found.port][found.cycle]
    assert found.expected == counted()[found.port][found.cycle]


def test_swapped_operands_are_caught_where_they_first_matter():
    rng = np.random.default_rng(1)
    a = rng.integers(-16, 16, (CLOCKS, 3))
    b = rng.integers(-16, 16, (CLOCKS, 3))
    b[:100, 1] = a[:100, 1]  # a - b = b - a until then
    found = compare(Difference(swapped_lane=1), {"a": a, "b": b}, DifferenceTwin()).difference
    cycle = next(t for t in range(CLOCKS) if a[t, 1] != b[t, 1]) + 1
    assert (found.cycle, found.port, found.lane) == (cycle, "o", 1)
    right = a[cycle - 1, 1] - b[cycle - 1, 1]
    assert (found.expected, found.got) == (right, -right)


CONFIG = LfsrConfig(generator=Generator(bits=16, leap=2, draw=2, seed=0xACE1), lanes=3)
DRAWS = stimulus(o_ready=1)


class Mutant(wiring.Component):
    """An Lfsr with something wrong around it."""

    def __init__(self, *, resets=True, late=False, order=(0, 1, 2), config=CONFIG):
        self.inner = hdl.lfsr.Lfsr(config)
        self.resets = resets
        self.late = late
        self.order = order
        super().__init__({"o": self.inner.signature.members["o"]})

    def elaborate(self, platform):
        m = Module()
        inner = self.inner
        if not self.resets:
            m.domains.free = free = ClockDomain("free", reset_less=True, local=True)
            m.d.comb += free.clk.eq(ClockSignal("sync"))
            inner = DomainRenamer("free")(inner)
        m.submodules.inner = inner
        m.d.comb += self.inner.o.ready.eq(self.o.ready)
        m.d.comb += self.o.valid.eq(self.inner.o.valid)
        domain = m.d.sync if self.late else m.d.comb
        for lane, source in enumerate(self.order):
            domain += self.o.payload.data[lane].eq(self.inner.o.payload.data[source])
        return m


def drawn(generator=CONFIG.generator, resets=True, late=False, order=(0, 1, 2)):
    """What an Lfsr does, a single step at a time."""
    seeds = [generator.seed]
    for _ in order[1:]:
        seeds.append(seeds[-1])
        for _ in range(generator.lane_steps):
            seeds[-1] = step(seeds[-1], generator.taps)
    states, shown = seeds, [0] * len(order)
    trace = {"o_valid": [1] * CLOCKS, "o_data": []}
    for ready, rst in zip(DRAWS["o_ready"], DRAWS["rst"]):
        words = [states[source] % 2**generator.draw for source in order]
        trace["o_data"].append(shown if late else words)
        shown = [0] * len(order) if rst else words
        if rst and resets:
            states = seeds
        elif ready:
            for _ in range(generator.leap):
                states = [step(state, generator.taps) for state in states]
    return trace


OTHER = Generator(bits=16, mask=0xB400, leap=2, draw=2, seed=0xACE1)


@pytest.mark.parametrize(
    ("mutant", "does"),
    [
        ({"config": LfsrConfig(generator=OTHER, lanes=3)}, {"generator": OTHER}),
        ({"resets": False}, {"resets": False}),
        ({"late": True}, {"late": True}),
        ({"order": (0, 2, 1)}, {"order": (0, 2, 1)}),
    ],
    ids=["wrong mask", "missing reset", "one clock late", "swapped lanes"],
)
def test_mutants_of_the_lfsr_are_caught_at_their_first_wrong_clock(mutant, does):
    twin = golden.lfsr.Lfsr(CONFIG)
    assert compare(Mutant(), DRAWS, twin)
    found = compare(Mutant(**mutant), DRAWS, twin).difference
    right, wrong = drawn(), drawn(**does)
    assert (found.cycle, found.port, found.lane) == first_wrong(right, wrong)
    assert found.expected == right["o_data"][found.cycle][found.lane]
    assert found.got == wrong["o_data"][found.cycle][found.lane]


def read_vcd(path, when):
    """Values by scope and name in force at `when`, and the first and last times."""
    names, values, scopes, times, now = {}, {}, [], [], 0
    with open(path, "rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scopes.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scopes.pop()
                case TokenKind.VAR:
                    names[".".join([*scopes, token.var.ref_str])] = token.var.id_code
                case TokenKind.CHANGE_TIME:
                    now = token.time_change
                    times.append(now)
                case TokenKind.CHANGE_SCALAR if now <= when:
                    values[token.scalar_change.id_code] = int(token.scalar_change.value)
                case TokenKind.CHANGE_VECTOR if now <= when:
                    values[token.vector_change.id_code] = token.vector_change.value
    return {name: values[code] for name, code in names.items() if code in values}, times


def test_waveforms_show_the_difference(tmp_path):
    rng = np.random.default_rng(0)
    inputs = {name: rng.integers(-16, 16, (CLOCKS, 3)) for name in "ab"}
    expected = DifferenceTwin().run(inputs)["o"]
    twin = Planted(DifferenceTwin(), ("o", 300, 2))
    comparison = compare(Difference(), inputs, twin, waves=tmp_path / "w")
    names = [
        "difference.vcd",
        "difference.gtkw",
        "difference-internal.vcd",
        "difference-internal.gtkw",
    ]
    assert comparison.files == tuple(tmp_path / "w" / name for name in names)
    assert str(comparison.files[0]) in str(comparison)
    for path in comparison.files:
        assert str(tmp_path) not in path.read_text()

    values, times = read_vcd(comparison.files[0], 3005)
    assert (times[0], times[-1]) == (1000, 3210)
    assert values["got.o[2]"] == expected[300, 2] % 64
    assert values["expected.o[2]"] == (expected[300, 2] + 1) % 64
    assert values["got.o[0]"] == values["expected.o[0]"] == expected[300, 0] % 64
    assert values["inputs.a[1]"] == inputs["a"][300, 1] % 32
    assert values["inputs.rst"] == values["inputs.clk"] == 0
    assert values["comparison.difference"] == 1
    assert read_vcd(comparison.files[0], 2999)[0]["comparison.difference"] == 0
    assert read_vcd(comparison.files[0], 3000)[0]["inputs.clk"] == 1
    assert read_vcd(comparison.files[0], 3010)[0]["comparison.difference"] == 0

    save = comparison.files[1].read_text().splitlines()
    assert save[0] == '[dumpfile] "difference.vcd"'
    traces = [line for line in save if "." in line and line[0] not in "[*"]
    assert traces[:3] == ["got.\\o[0][5:0]", "got.\\o[1][5:0]", "got.\\o[2][5:0]"]
    assert traces[3] == "expected.\\o[0][5:0]"
    (zoom,) = [line for line in save if line.startswith("*")]
    assert zoom.split()[1] == "3005"

    inside, _ = read_vcd(comparison.files[2], 3005 * 10**6)
    for lane in range(3):
        assert inside[f"bench.top.top.unit.o[{lane}]"] == expected[300, lane] % 64
    save = comparison.files[3].read_text().splitlines()
    traces = [line for line in save if "." in line and line[0] not in "[*"]
    assert traces[0].startswith("bench.top.top.unit.o")
    (zoom,) = [line for line in save if line.startswith("*")]
    assert zoom.split()[1] == str(3005 * 10**6)


def test_waveforms_go_into_a_file_that_is_named(tmp_path):
    twin = Planted(CounterTwin(), ("half", 0))
    comparison = compare(Counter(), ENABLE, twin, waves=str(tmp_path / "late.vcd"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "late-internal.gtkw",
        "late-internal.vcd",
        "late.gtkw",
        "late.vcd",
    ]
    values, times = read_vcd(comparison.files[0], 5)
    assert (times[0], times[-1]) == (0, 210)
    assert (values["expected.half"], values["got.half"], values["comparison.difference"]) == (
        2,
        1,
        1,
    )


def test_far_into_a_run_the_inside_is_not_simulated_again(tmp_path):
    enable = np.ones(5000, np.int64)
    twin = Planted(CounterTwin(), ("half", 4001))
    comparison = compare(Counter(), {"enable": enable}, twin, "cxxrtl", waves=tmp_path)
    assert [path.name for path in comparison.files] == ["counter.vcd", "counter.gtkw"]


def test_no_difference_leaves_no_file(tmp_path):
    assert compare(Counter(), ENABLE, CounterTwin(), waves=tmp_path / "w").files == ()
    assert not (tmp_path / "w").exists()


class Counting:
    """A twin of `Counter` that goes on, with a wrong `half` at given clocks."""

    def __init__(self, *wrong):
        self.wrong = wrong
        self.batches = []

    def initial(self):
        return 0, 3

    def run(self, inputs):
        raise AssertionError("a twin that goes on is not run")

    def advance(self, state, inputs):
        clock, count = state
        self.batches.append(len(inputs["rst"]))
        counts = []
        for enable, rst in zip(inputs["enable"].tolist(), inputs["rst"].tolist()):
            counts.append(count)
            count = 3 if rst else (count + enable) % 256
        counts = np.array(counts)
        half = counts >> 1
        for wrong in self.wrong:
            if clock <= wrong < clock + len(half):
                half[wrong - clock] += 1
        return (clock + len(half), count), {"count": counts, "half": half}


def cut(inputs, *stops):
    """Batches of a stimulus."""
    for start, stop in zip((0, *stops), (*stops, CLOCKS)):
        yield {name: values[start:stop] for name, values in inputs.items()}


@pytest.mark.parametrize("simulator", ["pysim", "cxxrtl"])
def test_a_stimulus_in_batches_gives_the_same_report(simulator, tmp_path):
    whole = compare(Counter(), ENABLE, Counting(130, 131, 340), simulator, waves=tmp_path / "a")
    assert (whole.difference.cycle, whole.mismatches) == (130, 3)
    for k, stops in enumerate([(), range(1, CLOCKS), (125, 130), (131,), (129, 130, 131, 132)]):
        twin = Counting(130, 131, 340)
        parts = compare(Counter(), cut(ENABLE, *stops), twin, simulator, waves=tmp_path / f"b{k}")
        assert twin.batches == [b - a for a, b in zip((0, *stops), (*stops, CLOCKS))]
        for name in "clocks", "values", "mismatches", "difference", "table", "covered":
            assert getattr(parts, name) == getattr(whole, name), name
        assert parts.covered == (0, 150)
        assert "waveform of cycles 0 to 150" in parts.report()
        for one, other in zip(whole.files, parts.files):
            assert one.name == other.name
            if one.suffix == ".vcd":
                assert read_vcd(one, 10**12) == read_vcd(other, 10**12)
            else:
                assert one.read_text() == other.read_text()


def test_a_difference_at_the_end_of_a_long_run_keeps_what_was_before_it():
    def batches():
        for seed in range(20):
            enable = np.random.default_rng(seed).integers(0, 2, 1000)
            yield {"enable": enable}

    twin = Counting(19_999)
    comparison = compare(Counter(), batches(), twin, "cxxrtl")
    assert twin.batches == [1000] * 20
    assert (comparison.clocks, comparison.difference.cycle) == (20_000, 19_999)
    assert [line.split()[-5] for line in comparison.table.splitlines()[1:]] == [
        str(cycle) for cycle in range(19_994, 20_000)
    ]


def test_a_long_stimulus_is_compared_in_batches(monkeypatch):
    monkeypatch.setattr(sys.modules["gradloom.comparison.compare"], "BATCH", 64)
    twin, told = Counting(), []
    assert compare(Counter(), ENABLE, twin, progress=lambda *clocks: told.append(clocks))
    assert twin.batches == [64] * 6 + [16]
    assert told == [(min(done, CLOCKS), CLOCKS) for done in range(64, CLOCKS + 64, 64)]


def test_a_twin_that_has_run_alone_is_run_once():
    class Alone:
        calls = 0

        def run(self, inputs):
            self.calls += 1
            return CounterTwin().run(inputs)

    twin = Alone()
    assert compare(Counter(), cut(ENABLE, 7, 100), twin)
    assert twin.calls == 1


@pytest.mark.parametrize("simulator", ["pysim", "cxxrtl"])
def test_inputs_of_any_form_agree(simulator):
    """Columns of a matrix, big-endian, read-only, lists: in hardware and twin alike."""
    config = golden.ArrayConfig(rows=2, columns=2)
    unit = hdl.Array(config)
    simulation = prepare(unit, simulator)
    inputs = random_inputs(config.ports, 100, seed=1)
    inputs["i_a"] = np.arange(200).reshape(2, 100).T - 50
    expected = simulation.run(inputs)
    for kind, layout in product((">i2", "<i4"), LAYOUTS):
        given = {name: put(values, kind, layout) for name, values in inputs.items()}
        for name, values in simulation.run(given).items():
            np.testing.assert_array_equal(values, expected[name])
        assert compare(unit, given, simulator=simulation)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"twin": golden.Array}, "twin = the class Array: a twin is wanted, an object with `run`"),
        ({"twin": golden.ArrayConfig()}, "twin = an ArrayConfig: a twin is wanted"),
        ({"twin": 5}, "twin = 5: a twin is wanted"),
        (
            {"twin": golden.Array(golden.ArrayConfig(rows=3, columns=2))},
            "twin Array has the port i_a: in signed(16) x 3, the component i_a: in signed(16) x 2",
        ),
        (
            {"twin": golden.Array(golden.ArrayConfig(rows=2, columns=2, conversions=()))},
            "twin Array has the port o_data: out signed(40) x 2, the component o_data: out",
        ),
        ({"component": hdl.Array}, "component = the class Array: a Component is wanted"),
        ({"component": golden.ArrayConfig()}, "component = an ArrayConfig: a Component is wanted"),
        ({"inputs": None}, "inputs = None: a mapping of port names to integers is wanted"),
        ({"inputs": np.zeros(3)}, "inputs = an array of float64, (3,): a mapping of"),
        ({"inputs": {}}, "inputs = {}: values of one port or more are wanted"),
        ({"inputs": []}, "inputs has no batch"),
        ({"inputs": [[1]]}, "inputs = [1]: a mapping of port names to integers is wanted"),
        ({"inputs": {"i_valid": []}}, "inputs of no clocks: i_valid need one entry or more"),
        ({"inputs": {"i_valid": [0.5]}}, "port i_valid has values of type float64: integers"),
        ({"inputs": {"i_a": [[True, False]]}}, "port i_a has values of type bool: integers"),
    ],
    # The messages alone: an object's address would be another in each process of the tests.
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_compared_is_named(change, message):
    config = golden.ArrayConfig(rows=2, columns=2)
    arguments = {"component": hdl.Array(config), "inputs": {"i_valid": [1]}, **change}
    with pytest.raises((TypeError, ValueError)) as error:
        compare(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    del arguments, error
    gc.collect()  # here, where what was never used may go without a warning


@pytest.mark.parametrize("call", [prepare, verilog, flatten, twin_of])
def test_only_components_have_hardware(call):
    for wrong in (golden.LfsrConfig(), golden.Lfsr(golden.LfsrConfig()), hdl.Lfsr, "lfsr"):
        with pytest.raises(TypeError, match=r"^component = .*: a Component is wanted$"):
            call(wrong)


def test_a_whole_run_needs_a_batch_too():
    class Alone:
        def run(self, inputs):
            return CounterTwin().run(inputs)

    with pytest.raises(ValueError, match=r"^inputs has no batch$"):
        compare(Counter(), [], Alone())

    class Nothing:
        def run(self, inputs):
            return None

    with pytest.raises(TypeError, match=r"^what twin Nothing returns = None: a mapping of port"):
        compare(Counter(), ENABLE, Nothing())


def test_batches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="inputs has no batch"):
        compare(Counter(), iter(()), Counting())

    class Whole:
        def run(self, inputs):
            return CounterTwin().run(inputs)

    with pytest.raises(ValueError, match="inputs has no batch"):
        compare(Counter(), iter(()), Whole())
    with pytest.raises(ValueError, match="inputs of no clocks"):
        compare(Counter(), {"enable": np.zeros(0, int)}, Counting())
    bad = [{"enable": [0, 1]}, {"enable": [0, 2]}]
    wrong = r"in the batch that begins at clock 2: port enable, clock 1: 2 is out of range"
    with pytest.raises(ValueError, match=wrong):
        compare(Counter(), bad, Counting())
