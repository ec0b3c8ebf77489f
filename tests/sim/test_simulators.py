import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Counter, Queue, Store, Wires

from golden import caches
from golden.port import Port
from gradloom.sim import cxxrtl
from gradloom.sim.packing import Packing, from_numbers, to_bits, to_numbers
from gradloom.sim.simulators import prepare, simulate

EACH = pytest.mark.parametrize("simulator", ["pysim", "cxxrtl"])


def random_inputs(ports, clocks, seed, resets=0.01):
    """Values over each port's whole range, its limits among them."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for port in ports:
        values = rng.integers(port.minimum, port.maximum, port.shape(clocks), endpoint=True)
        values[rng.random(values.shape) < 0.1] = port.minimum
        values[rng.random(values.shape) < 0.1] = port.maximum
        inputs[port.name] = values
    inputs["rst"] = (rng.random(clocks) < resets).astype(np.int64)
    return inputs


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Sum(wiring.Component):
    """No register at all."""

    a: In(4)
    b: In(4)
    o: Out(5)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a + self.b)
        return m


@EACH
def test_an_entry_is_the_value_before_the_edge(simulator):
    enable = np.array([1, 1, 0, 1, 1, 0])
    rst = np.array([0, 0, 0, 1, 0, 0])
    trace = simulate(Counter(), {"enable": enable, "rst": rst}, simulator)
    assert trace["count"].tolist() == [3, 4, 5, 5, 3, 4]
    assert trace["half"].tolist() == [1, 2, 2, 2, 1, 2]


@EACH
def test_outputs_without_a_register_show_in_the_same_entry(simulator):
    inputs = random_inputs([Port("a", "in", 4), Port("b", "in", 4)], 200, seed=0)
    trace = simulate(Sum(), inputs, simulator)
    np.testing.assert_array_equal(trace["o"], inputs["a"] + inputs["b"])


@pytest.mark.parametrize("unit", [Counter, Queue, Store])
def test_both_simulators_give_one_trace(unit):
    slow, fast = prepare(unit(), "pysim"), prepare(unit(), "cxxrtl")
    for seed in range(2):
        inputs = random_inputs(slow.inputs, 3000, seed)
        assert_same(slow.run(inputs), fast.run(inputs))


@EACH
def test_every_width_goes_through(simulator):
    unit = prepare(Wires(), simulator)
    inputs = random_inputs(unit.inputs, 300, seed=1, resets=0.1)
    trace = unit.run(inputs)
    assert len(trace) == 2 * (len(inputs) - 1)
    held = np.concatenate([[1], inputs["rst"][:-1]])  # what an edge with reset leaves behind
    for name, values in inputs.items():
        if name != "rst":
            np.testing.assert_array_equal(trace[f"now_{name[2:]}"], values, err_msg=name)
            late = np.concatenate([np.zeros_like(values[:1]), values[:-1]])
            late = np.where(held.reshape(-1, *[1] * (late.ndim - 1)), 0, late)
            np.testing.assert_array_equal(trace[f"late_{name[2:]}"], late, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 62),
    lanes=st.none() | st.integers(1, 40),
    signed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rows_hold_what_was_packed(width, lanes, signed, seed):
    port = Port("x", "in", width, signed, lanes)
    packing = Packing([Port("before", "in", 3), port, Port("after", "in", 31)])
    ports = [entry for entry, _ in packing.places]
    inputs = random_inputs(ports, 20, seed)
    rows = packing.pack(inputs, slice(5, 20))
    for t, row in enumerate(rows):
        whole = int.from_bytes(row.astype("<u4").tobytes(), "little") >> 32
        elements = np.atleast_1d(inputs["x"][5 + t]).tolist()
        bits = sum((code % 2**width) << (lane * width) for lane, code in enumerate(elements))
        assert whole % 2**port.bits == bits
        assert to_numbers(port, inputs["x"][5 + t : 6 + t]) == [bits]
        low_first = [bits >> k & 1 for k in range(port.bits)]
        assert to_bits([port], {"x": inputs["x"][5 + t : 6 + t]}).tolist() == [low_first]
    np.testing.assert_array_equal(from_numbers(port, to_numbers(port, inputs["x"])), inputs["x"])
    back = {entry.name: np.zeros(entry.shape(20), np.int64) for entry in ports}
    packing.unpack(rows, back, slice(5, 20))
    for entry in ports:
        np.testing.assert_array_equal(back[entry.name][5:], inputs[entry.name][5:])


@EACH
def test_each_run_begins_in_the_reset_state(simulator):
    unit = prepare(Store(), simulator)
    inputs = random_inputs(unit.inputs, 500, seed=3)
    assert_same(unit.run(inputs), unit.run(inputs))


@EACH
@pytest.mark.parametrize("unit", [Counter, Queue, Store])
def test_a_run_that_is_cut_gives_the_same(unit, simulator):
    simulation = prepare(unit(), simulator)
    inputs = random_inputs(simulation.inputs, 400, seed=5, resets=0.05)
    whole = simulation.run(inputs)
    rng = np.random.default_rng(6)
    for lengths in (lambda: 1, lambda: 2, lambda: 7, lambda: int(rng.integers(1, 90))):
        state, parts, at = simulation.initial(), [], 0
        while at < 400:
            part = slice(at, at + lengths())
            state, trace = simulation.advance(state, {k: v[part] for k, v in inputs.items()})
            parts.append(trace)
            at = min(part.stop, 400)
            assert state.clock == at
        assert_same(whole, {name: np.concatenate([p[name] for p in parts]) for name in whole})


@EACH
def test_runs_that_go_on_do_not_meet(simulator):
    simulation = prepare(Counter(), simulator)
    on, off = {"enable": np.ones(5, int)}, {"enable": np.zeros(5, int)}
    first, second = simulation.initial(), simulation.initial()
    first, _ = simulation.advance(first, on)
    second, trace = simulation.advance(second, off)
    assert trace["count"].tolist() == [3, 3, 3, 3, 3]
    assert simulation.run(on)["count"].tolist() == [3, 4, 5, 6, 7]
    first, trace = simulation.advance(first, on)
    assert trace["count"].tolist() == [8, 9, 10, 11, 12]
    second.close()
    _, trace = simulation.advance(simulation.initial(), on)
    assert trace["count"].tolist() == [3, 4, 5, 6, 7]
    assert simulation.advance(first, off)[1]["count"].tolist() == [13] * 5


@EACH
def test_a_state_is_good_for_one_use(simulator):
    simulation = prepare(Counter(), simulator)
    one = {"enable": [1]}
    first = simulation.initial()
    second, _ = simulation.advance(first, one)
    with pytest.raises(ValueError, match="state at clock 0 has been advanced already"):
        simulation.advance(first, one)
    with pytest.raises(ValueError, match="2 is out of range"):
        simulation.advance(second, {"enable": [2]})
    second, _ = simulation.advance(second, one)  # nothing was simulated in between
    with pytest.raises(ValueError, match="belongs to another simulation"):
        prepare(Counter()).advance(second, one)
    second.close()
    with pytest.raises(ValueError, match="state at clock 2"):
        simulation.advance(second, one)


@EACH
@pytest.mark.parametrize("width", [1, 5, 8, 13])
def test_any_layout_in_memory_will_do(simulator, width):
    class Copy(wiring.Component):
        a: In(data.ArrayLayout(unsigned(width), 3))
        o: Out(data.ArrayLayout(unsigned(width), 3))

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.o.eq(self.a)
            return m

    values = np.arange(300).reshape(3, 100) % (1 << width)
    simulation = prepare(Copy(), simulator)
    for a in (values.T, values.T[::-1], np.asfortranarray(values.T), values.T.astype(">i2")):
        np.testing.assert_array_equal(simulation.run({"a": a})["o"], a)


@EACH
def test_no_clocks_at_all_are_refused(simulator):
    with pytest.raises(ValueError, match="inputs of no clocks"):
        simulate(Counter(), {"enable": np.zeros(0, np.int64)}, simulator)


@EACH
def test_batches_leave_no_seam(simulator, monkeypatch):
    unit = prepare(Counter(), simulator)
    inputs = random_inputs(unit.inputs, 100, seed=4)
    whole = unit.run(inputs)
    monkeypatch.setattr(unit, "batch", 7)
    calls = []
    assert_same(whole, unit.run(inputs, progress=lambda done, clocks: calls.append((done, clocks))))
    assert calls == [(min(done, 100), 100) for done in range(7, 106, 7)]


def test_missing_ports_are_zero():
    trace = simulate(Counter(), {"rst": np.zeros(4, np.int64)})
    assert trace["count"].tolist() == [3, 3, 3, 3]


def test_a_stimulus_that_does_not_fit_is_refused():
    unit = prepare(Queue())
    data = np.zeros((10, 5), np.int64)
    data[7, 3] = 4096
    with pytest.raises(ValueError, match=r"i_data, clock 7, lane 3: 4096 .* -4096 to 4095"):
        unit.run({"i_data": data})
    with pytest.raises(ValueError, match=r"i_valid, clock 1: -1 is out of range, 0 to 1"):
        unit.run({"i_valid": [0, -1]})
    with pytest.raises(ValueError, match="no input port is called i_payload"):
        unit.run({"i_payload": [0]})
    with pytest.raises(ValueError, match="no input port is called o_data"):
        unit.run({"o_data": data})
    with pytest.raises(ValueError, match="one entry per clock, all the same number"):
        unit.run({"i_valid": [0, 1], "i_last": [0]})
    with pytest.raises(ValueError, match=r"the shape \(2,\): \(2, 5\) is wanted"):
        unit.run({"i_data": [0, 1]})
    with pytest.raises(TypeError, match="integers are wanted"):
        unit.run({"i_valid": [0.0, 1.0]})
    with pytest.raises(ValueError, match="simulator = 'verilator': pysim and cxxrtl are known"):
        prepare(unit.component, "verilator")
    with pytest.raises(ValueError, match="built for another Counter"):
        simulate(prepare(Counter()).component, {"enable": [0]}, prepare(Counter()))


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    # Not by XDG_CACHE_HOME: Yosys keeps its compiled self there as well.
    monkeypatch.setattr(caches, "folder", lambda name: tmp_path / "cache")
    return tmp_path / "cache"


def test_builds_at_one_time_both_work(fresh_cache, monkeypatch):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: prepare(Sum(), "cxxrtl"), range(2)))
    for each in both:
        assert each.run({"a": [3], "b": [4]})["o"].tolist() == [7]
    assert {path.suffix for path in fresh_cache.iterdir()} == {".so"}
    monkeypatch.setattr(cxxrtl, "_cxx", lambda text: pytest.fail("compiled again"))
    assert prepare(Sum(), "cxxrtl").run({"a": [3], "b": [4]})["o"].tolist() == [7]


def test_a_compilers_own_error_is_shown(fresh_cache, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ $2 = --version ] || { echo out of coffee >&2; exit 1; }\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", f"{broken} -fast")
    with pytest.raises(cxxrtl.BuildError, match=r"broken -fast .*out of coffee$"):
        prepare(Sum(), "cxxrtl")
    assert not fresh_cache.exists() or os.listdir(fresh_cache) == []
    monkeypatch.setenv("CXX", str(tmp_path / "absent"))
    with pytest.raises(cxxrtl.BuildError, match="absent"):
        prepare(Sum(), "cxxrtl")


def test_the_compiler_is_looked_for_in_order(monkeypatch):
    monkeypatch.setenv("CXX", "ccache g++-12")
    assert cxxrtl.compiler() == ["ccache", "g++-12"]
    monkeypatch.delenv("CXX")
    found = {"g++": "/usr/bin/g++", "clang++": "/usr/bin/clang++"}
    monkeypatch.setattr("shutil.which", found.get)
    assert cxxrtl.compiler() == ["/usr/bin/g++"]
    found.clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert cxxrtl.compiler()[1:] == ["-m", "ziglang", "c++"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(cxxrtl.BuildError, match="no C\\+\\+ compiler"):
        cxxrtl.compiler()


SOURCE = """struct p_top : public module {
\twire<8> p_count;
\tvalue<1> prev_p_clk;
\tbool posedge_p_clk() const {
\tmemory<4> memory_p_store { 5u };
\tmemory<4> memory_p_rom { 5u };
\tbool commit(ObserverT &observer) {
\t\tbool changed = false;
\t\tif (p_count.commit(observer)) changed = true;
\t\tif (memory_p_store.commit(observer)) changed = true;
\tp_count = wire<8>{0x3u};
\t\tp_count.next = add_uu<8>(p_count.curr, value<1>{0x1u});
\tmemory_p_store.update(0, value<4>{0x1u}, value<4>{0xfu});
"""


def test_registers_are_copied_together_and_memories_are_not():
    text = cxxrtl._registers_together(SOURCE)
    assert "std::memcpy(&curr, &next, sizeof curr);" in text
    assert "next.p_count = add_uu<8>(curr.p_count, value<1>{0x1u});" in text
    assert "curr.p_count = next.p_count = value<8>{0x3u};" in text
    assert "if (memory_p_store.commit(observer)) changed = true;" in text
    assert "p_count.commit" not in text and "memory_p_rom {" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if (p_count.commit(observer)) changed", "if (p_count.commit(observer)) other"),
        ("wire<8> p_count;", "wire<8> p_counter;"),
        ("memory<4> memory_p_store", "rom<4> memory_p_store"),
        ("bool changed = false;", "bool changed{};"),
        ("p_count = wire<8>{0x3u};", "p_count = std::move(wire<8>{0x3u});"),
        ("posedge_p_clk() const", "negedge_p_clk() const"),
        ("struct p_top :", "struct p_other :"),
    ],
)
def test_generated_text_that_is_not_known_is_refused(old, new):
    assert SOURCE.count(old) == 1
    with pytest.raises(cxxrtl.BuildError):
        cxxrtl._registers_together(SOURCE.replace(old, new))


@pytest.mark.parametrize("toy", [Queue, Store, Wires])
def test_an_evaluation_in_parts_is_the_same(fresh_cache, monkeypatch, toy):
    monkeypatch.setattr(cxxrtl, "_PART", 5)
    parts = prepare(toy(), "cxxrtl")
    inputs = random_inputs(parts.inputs, 200, seed=2)
    assert_same(parts.run(inputs), prepare(toy(), "pysim").run(inputs))


EVALUATION = """struct p_top : public module {
};
bool p_top::eval(performer *performer) {
\tbool converged = true;
\tbool posedge_p_clk = this->posedge_p_clk();
\tvalue<4> p_sum;
\t// cell $1
\tp_sum = p_a;
\t// cell $2
\tif (posedge_p_clk) {
\t\tnext.p_o = p_sum;
\t}
\treturn converged;
}
"""


def test_a_long_evaluation_is_cut_between_statements(monkeypatch):
    assert cxxrtl._in_parts(EVALUATION) == EVALUATION
    monkeypatch.setattr(cxxrtl, "_PART", 2)
    text = cxxrtl._in_parts(EVALUATION)
    head = text[: text.index("};")]
    assert "\tvalue<4> p_sum;\n" in head and "\tvoid part_1(bool);\n" in head
    assert "p_top::part_0(bool posedge_p_clk) {\n\t// cell $1\n\tp_sum = p_a;\n}" in text
    assert "p_top::part_1(bool posedge_p_clk) {\n\t// cell $2\n\tif (posedge_p_clk) {" in text
    assert text.endswith(
        "\tpart_0(posedge_p_clk());\n\tpart_1(posedge_p_clk());\n\treturn true;\n}\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bool converged = true;", "bool converged{};"),
        ("return converged;", "return changed;"),
        ("\tp_sum = p_a;\n", "\tconverged = false;\n"),
    ],
)
def test_an_evaluation_that_is_not_known_is_refused(old, new):
    assert EVALUATION.count(old) == 1
    with pytest.raises(cxxrtl.BuildError, match="unknown way"):
        cxxrtl._in_parts(EVALUATION.replace(old, new))
