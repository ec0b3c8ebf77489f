"""A made-up design among sources, sinks, a memory and a host, in both simulators."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from gradloom.sim import (
    Environment,
    Host,
    Memory,
    Poll,
    Read,
    Sink,
    Source,
    Wait,
    Watch,
    Write,
    pauses,
)
from gradloom.sim.simulators import prepare

LANES, DEPTH = 5, 24
WORD = data.ArrayLayout(signed(13), LANES)
EACH = pytest.mark.parametrize("simulator", ["pysim", "cxxrtl"])


class Spill(wiring.Component):
    """A queue that lies in an external memory: words of `i` are added to a register, written
    there by requests `m`, read again and given to `o`. Register 0 is the addend, register 1 counts
    the words that went out.
    """

    i: In(stream.Signature(WORD))
    o: Out(stream.Signature(WORD))
    m: Out(stream.Signature(data.StructLayout({"address": 8, "write": 1, "data": WORD})))
    r: In(stream.Signature(WORD))
    address: In(4)
    data: In(13)
    write: In(1)
    value: Out(40)

    def __init__(self):
        super().__init__()
        self.sent = Signal(40)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=WORD.size, depth=4)
        addend = Signal(signed(13))
        added = Signal(WORD)
        with m.If(self.write & (self.address == 0)):
            m.d.sync += addend.eq(self.data)
        m.d.comb += [
            self.value.eq(self.sent),
            *(added[k].eq(self.i.payload[k] + addend) for k in range(LANES)),
            queue.w_data.eq(added),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            self.o.payload.eq(self.r.payload),
            self.o.valid.eq(self.r.valid),
            self.r.ready.eq(self.o.ready),
        ]
        with m.If(self.address == 0):
            m.d.comb += self.value.eq(addend)
        written, asked = Signal(8), Signal(8)
        turn, reads = Signal(), Signal()
        m.d.comb += reads.eq((asked != written) & (turn | ~queue.r_rdy))
        with m.If(reads):
            m.d.comb += [self.m.valid.eq(1), self.m.payload.address.eq(asked % DEPTH)]
        with m.Elif(queue.r_rdy & ((written - asked)[:8] < DEPTH)):
            m.d.comb += [
                self.m.valid.eq(1),
                self.m.payload.write.eq(1),
                self.m.payload.address.eq(written % DEPTH),
                self.m.payload.data.eq(queue.r_data),
            ]
        with m.If(self.m.valid & self.m.ready):
            m.d.sync += turn.eq(~reads)
            with m.If(reads):
                m.d.sync += asked.eq(asked + 1)
            with m.Else():
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += written.eq(written + 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.sent.eq(self.sent + 1)
        return m


BEATS = np.random.default_rng(0).integers(-3000, 3000, (144, LANES))
CLOCKS = 1500
#: Watches by name: conditions, and ports.
WATCHES = {
    "results": (("o_valid", "o_ready"), ("o_data",)),
    "writes": (("m_valid", "m_ready", "m_write"), ("m_address", "m_data")),
    "queued": (("queued", "i_ready"), ("word", "level")),
    "idle": (("i_ready",), ()),
}
PROBES = {"queued": "queue.w_en", "word": ("added", WORD), "level": "queue.level"}


def spilling(simulator, late=0, beats=BEATS):
    """The design and what surrounds it; `late` makes everything slower at random."""
    component = Spill()
    simulation = prepare(component, simulator, {**PROBES, "sent": component.sent})
    often = 0.9 * late
    parts = [
        Source(stream="i", beats={"data": beats}, gaps=pauses(often, 1)),
        Sink(stream="o", stalls=pauses(often, 2)),
        Memory(
            request="m",
            read="r",
            words=np.zeros((DEPTH, LANES), int),
            latency=(3, 1, 40) if late else (2,),
            stalls=pauses(often, 3),
        ),
        Host(
            script=[
                Write(0, 7),
                Read(0),
                Wait(5),
                Poll(1, 100),
                Write(0, 0),
                Poll(1, len(BEATS)),
                Read(1),
            ]
        ),
        *(Watch(name=name, when=when, data=ports) for name, (when, ports) in WATCHES.items()),
    ]
    return Environment(simulation, *parts)


@pytest.fixture(scope="module", params=[0, 0.5], ids=["quick", "late"])
def both(request):
    environments = [spilling(simulator, request.param) for simulator in ("pysim", "cxxrtl")]
    clocks = CLOCKS if not request.param else 6 * CLOCKS
    return environments, [environment.run(clocks) for environment in environments], clocks


def assert_same_events(first, second, name=""):
    assert first.dtype == second.dtype
    for field in first.dtype.names:
        np.testing.assert_array_equal(first[field], second[field], err_msg=f"{name} {field}")


def assert_same(first, second):
    for one, other in (first.inputs, second.inputs), (first.outputs, second.outputs):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert first.events.keys() == second.events.keys()
    for name, events in first.events.items():
        assert_same_events(events, second.events[name], name)
    assert first.done == second.done


def test_both_simulators_play_the_same(both):
    _, (slow, fast), _ = both
    assert_same(slow, fast)
    assert slow.done


def test_what_came_in_goes_out_whatever_is_late(both):
    _, (played, _), _ = both
    results = played.events["results"]["o_data"]
    # The host changes the addend in the middle.
    added = (results - BEATS)[:, 0]
    assert set(added.tolist()) == {0, 7}
    assert (np.diff(added) <= 0).all() or added[0] == 0
    np.testing.assert_array_equal(results - added[:, None], BEATS)
    host = played.events["host"]
    assert host["address"].tolist() == [0, 1, 1, 1]
    assert host["value"].tolist() == [7, 100, len(BEATS), len(BEATS)]


def test_events_are_those_of_the_dense_trace(both):
    _, (_, played), _ = both
    trace = {**played.inputs, **played.outputs}
    for name, (when, ports) in WATCHES.items():
        clocks = np.flatnonzero(np.logical_and.reduce([trace[port] != 0 for port in when]))
        events = played.events[name]
        assert len(events) > 50
        np.testing.assert_array_equal(events["clock"], clocks)
        for port in ports:
            np.testing.assert_array_equal(events[port], trace[port][clocks])


def test_without_traces_events_are_the_same(both):
    environments, (whole, _), clocks = both
    for environment in environments:
        played = environment.run(clocks, trace=False)
        assert (played.inputs, played.outputs) == ({}, {})
        for name, events in whole.events.items():
            assert_same_events(events, played.events[name], name)


@pytest.mark.parametrize("length", [1, 2, 7, None])
def test_a_run_that_is_cut_gives_the_same(both, length):
    environments, (whole, _), _ = both
    rng = np.random.default_rng(0)
    for environment in environments:
        state, at, parts = environment.initial(), 0, []
        while at < 400:
            clocks = min(length or int(rng.integers(1, 90)), 400 - at)
            state, played = environment.advance(state, clocks)
            parts.append(played)
            at += clocks
        for one, every in (
            (whole.inputs, [part.inputs for part in parts]),
            (whole.outputs, [part.outputs for part in parts]),
        ):
            for name, values in one.items():
                joined = np.concatenate([trace[name] for trace in every])
                np.testing.assert_array_equal(joined, values[:400], err_msg=name)
        for name, events in whole.events.items():
            joined = np.concatenate([part.events[name] for part in parts])
            assert_same_events(joined, events[events["clock"] < 400], name)


@pytest.mark.parametrize("simulator", ["pysim", "cxxrtl"])
def test_beats_that_are_sent_later_follow_the_others(simulator):
    wanted = spilling(simulator).run(CLOCKS)
    environment = spilling(simulator, beats=BEATS[:0])
    state, events = environment.initial(), []
    for first in range(0, len(BEATS), 48):
        environment.send(state, "i", {"data": BEATS[first : first + 20]})
        environment.send(state, "i", {"data": BEATS[first + 20 : first + 48]})
        state, played = environment.advance(state, 100, trace=False)
        events.append(played.events["results"]["o_data"])
    state, played = environment.advance(state, CLOCKS, trace=False)
    assert played.done
    results = np.concatenate([*events, played.events["results"]["o_data"]])
    # The addend comes from a host, and a beat may be earlier or later than that.
    assert len(results) == len(BEATS)
    np.testing.assert_array_equal(np.diff(results), np.diff(wanted.events["results"]["o_data"]))
    with pytest.raises(ValueError, match="there is no source o; there is i"):
        environment.send(state, "o", {"data": BEATS})
    with pytest.raises(ValueError, match="beats of word: those before have data"):
        environment.send(state, "i", {"word": BEATS})


def test_the_memory_can_be_read(both):
    environments, (played, _), clocks = both
    last = {}
    for _, address, word in played.events["writes"].tolist():
        last[address] = word
    for environment in environments:
        state, _ = environment.advance(environment.initial(), clocks, trace=False)
        words = environment.words(state, "m")
        assert words.shape == (DEPTH, LANES)
        for address in range(DEPTH):
            np.testing.assert_array_equal(words[address], last[address])


class Wire(wiring.Component):
    """A stream as it is, and a register behind an address."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))
    address: In(40)
    read: In(1)
    write: In(1)
    data: In(40)
    value: Out(40)

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        m.d.sync += self.value.eq(self.address + 1)
        return m


@EACH
def test_gaps_and_stalls_are_what_they_say(simulator):
    source = Source(stream="i", beats={"data": [5, 6, 7, 8]}, gaps=(1, 0, 2))
    played = Environment(prepare(Wire(), simulator), source, Sink(stream="o")).run(9)
    assert played.inputs["i_valid"].tolist() == [0, 1, 1, 0, 0, 1, 0, 1, 0]
    assert played.inputs["i_data"].tolist() == [0, 5, 6, 0, 0, 7, 0, 8, 0]
    assert played.inputs["o_ready"].tolist() == [1] * 9
    assert played.done
    source = replace(source, gaps=(0,))
    slow = Environment(prepare(Wire(), simulator), source, Sink(stream="o", stalls=(2, 0))).run(9)
    assert slow.inputs["o_ready"].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0]
    assert slow.inputs["i_data"].tolist() == [5, 5, 5, 6, 7, 7, 7, 8, 0]


@EACH
@pytest.mark.parametrize("latency", [1, 3])
def test_a_host_waits_for_what_it_reads(simulator, latency):
    script = [Read((1 << 40) - 3), Write(9, 1 << 39), Wait(2), Read(4)]
    host = Host(script=script, read="read", latency=latency)
    played = Environment(prepare(Wire(), simulator), host).run(20)
    first, second = latency, 2 * latency + 4
    assert np.flatnonzero(played.inputs["read"]).tolist() == [0, first + 4]
    assert np.flatnonzero(played.inputs["write"]).tolist() == [first + 1]
    assert played.inputs["data"][first + 1] == 1 << 39
    # The value is that of the address a clock before.
    values = [(1 << 40) - 2, 5] if latency == 1 else [1, 1]
    assert played.events["host"].tolist() == [
        (first, (1 << 40) - 3, values[0]),
        (second, 4, values[1]),
    ]


class Copy(wiring.Component):
    """Copies 3 words from address 2 to address 5 by two runs."""

    q: Out(stream.Signature(data.StructLayout({"address": 4, "length": 3, "write": 1})))
    r: In(stream.Signature(40))
    w: Out(stream.Signature(40))

    def elaborate(self, platform):
        m = Module()
        asked = Signal(range(3))
        m.submodules.queue = queue = fifo.SyncFIFO(width=40, depth=4)
        m.d.comb += [
            self.q.valid.eq(asked < 2),
            self.q.payload.length.eq(3),
            self.q.payload.write.eq(asked[0]),
            self.q.payload.address.eq(asked[0] * 3 + 2),
            queue.w_en.eq(self.r.valid),
            queue.w_data.eq(self.r.payload),
            self.r.ready.eq(queue.w_rdy),
            self.w.valid.eq(queue.r_rdy),
            self.w.payload.eq(queue.r_data),
            queue.r_en.eq(self.w.ready),
        ]
        with m.If(self.q.valid & self.q.ready):
            m.d.sync += asked.eq(asked + 1)
        return m


@EACH
def test_runs_of_words_are_read_and_written(simulator):
    words = (1 << 39) + np.arange(10)
    memory = Memory(request="q", read="r", write="w", words=words, latency=(4,), stalls=(1,))
    environment = Environment(prepare(Copy(), simulator), memory)
    state, played = environment.advance(environment.initial(), 30)
    assert np.flatnonzero(played.inputs["q_ready"])[:2].tolist() == [1, 3]
    assert np.flatnonzero(played.inputs["r_valid"]).tolist() == [5, 6, 7]
    assert played.inputs["r_data"][5:8].tolist() == words[2:5].tolist()
    assert environment.words(state, "q").tolist() == [*words[:5], *words[2:5], *words[8:]]
    assert played.done


@EACH
def test_words_that_a_memory_does_not_have_are_an_error(simulator):
    memory = Memory(request="q", read="r", write="w", words=np.arange(7))
    environment = Environment(prepare(Copy(), simulator), memory)
    text = r"Memory q: words 5 to 7 are asked for at clock 1: there are 7"
    with pytest.raises(ValueError, match=text):
        environment.run(30)


@EACH
def test_other_inputs_can_be_given(simulator):
    environment = Environment(prepare(Wire(), simulator), Source(stream="i", beats={"data": [3]}))
    played = environment.run(4, {"o_ready": [0, 0, 1, 0], "address": [1, 2, 3, 4]})
    assert played.inputs["i_valid"].tolist() == [1, 1, 1, 0]
    assert played.outputs["value"].tolist() == [0, 2, 3, 4]
    with pytest.raises(ValueError, match="inputs: i_valid is driven by a part"):
        environment.run(1, {"i_valid": [1]})
    with pytest.raises(ValueError, match="inputs have 2 clocks, not 3"):
        environment.run(3, {"o_ready": [1, 1]})
    with pytest.raises(ValueError, match="clocks = 0: at least 1 is needed"):
        environment.run(0)
    state = environment.initial()
    environment.advance(state, 1)
    with pytest.raises(ValueError, match="state at clock 0 has been advanced already"):
        environment.advance(state, 1)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([Sink(stream="i")], "Sink i: port i_valid goes in, not out"),
        ([Sink(stream="x")], "Sink x: there is no port x_ready; there are rst, i_valid"),
        ([Sink(stream="o"), Sink(stream="o")], "Sink o: port o_ready is driven by Sink o already"),
        ([Source(stream="i", beats={"data": [256]})], "port i_data, clock 0: 256 is out of range"),
        ([Source(stream="i", beats={"x": [1]})], "Source i: there is no port i_x"),
        (
            [Source(stream="i", beats={"data": [1]}, gaps=())],
            "gaps = .*: allowed are numbers from 0 on",
        ),
        ([Sink(stream="o", stalls=(-1,))], "stalls = .*: allowed are numbers from 0 on"),
        ([Watch(name="w", when=("i_valid", "value"))], "value has more than 32 bits"),
        ([Watch(name="w", when=(), data=("x",))], "Watch w: there is no port x"),
        ([Host(script=[Wait(0)])], r"Wait\(clocks=0\): at least 1 clock"),
        ([Host(script=[Write(1 << 40, 0)])], "addresses go from 0 to 1099511627775"),
        ([Host(script=[Write(0, -1)])], "values go from 0 to 1099511627775"),
        ([Memory(request="i", words=[0])], "Memory i: .*"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, text):
    with pytest.raises(ValueError, match=text):
        Environment(WIRE, *parts)


WIRE = prepare(Wire())


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([Sink], "a part = the class Sink: a Part is wanted"),
        ([Source(stream="i", beats=[1])], r"Source i: beats = \[1\]: a mapping of fields"),
        ([Source(stream="i", beats={"data": [0.5]})], "Source i: port i_data has values of type"),
        (
            [Source(stream="i", beats={"data": [1]}, gaps=(0.5,))],
            "Source i: gaps has values of type float64: integers are wanted",
        ),
        ([Sink(stream="o", stalls=(True,))], "Sink o: stalls has values of type bool"),
        ([Host(script=[Wait(1.5)])], r"Wait\(clocks=1.5\): whole numbers are wanted"),
        ([Host(script=[Write(0.0, 1)])], "whole numbers are wanted"),
        ([Host(script=[Write(0, True)])], "whole numbers are wanted"),
        ([Host(script=[], latency=0.5)], "Host host: latency = 0.5: a whole number from 0"),
    ],
)
def test_what_is_no_number_is_refused(parts, text):
    with pytest.raises(TypeError, match=text):
        Environment(WIRE, *parts)


def test_numbers_of_any_type_make_the_same_environment():
    """Addresses and values of a host have 64 bits: a narrow type must not cut them."""

    def played(number, array):
        host = Host(script=[Write(number(3), number(200)), Wait(number(2)), Read(number(3))])
        source = Source(stream="i", beats={"data": array([7, 200, 9])}, gaps=array([0, 2]))
        sink = Sink(stream="o", stalls=array([1, 0]))
        return Environment(WIRE, host, source, sink).run(number(20))

    expected = played(int, list)
    for number, array in (
        (np.uint8, lambda them: np.array(them, np.uint8)),
        (np.int16, lambda them: np.array(them, ">i4")[::-1].copy()[::-1]),
    ):
        found = played(number, array)
        for name, values in expected.outputs.items():
            np.testing.assert_array_equal(found.outputs[name], values)
        for name, values in expected.inputs.items():
            np.testing.assert_array_equal(found.inputs[name], values)
    assert pauses(0.5, np.uint8(1), np.uint8(8)) == pauses(0.5, 1, 8)
    with pytest.raises(TypeError, match=r"^count = 8.0: a whole number from 1 on is wanted$"):
        pauses(0.5, 1, 8.0)


def test_two_parts_of_one_name_are_refused():
    watch = Watch(name="w", when=("i_valid",))
    with pytest.raises(ValueError, match="two parts have events of the name w"):
        Environment(WIRE, watch, watch)


def test_pauses_are_drawn():
    drawn = np.array(pauses(0.75, seed=0))
    assert abs(drawn.mean() - 3) < 0.2
    assert set(pauses(0, seed=0)) == {0}
    with pytest.raises(ValueError, match="often = 1: allowed are values from 0 to less than 1"):
        pauses(1, seed=0)


@EACH
def test_probes_are_recorded_like_outputs(simulator):
    component = Spill()
    simulation = prepare(
        component,
        simulator,
        {
            "sent": component.sent,
            "half": component.sent[1:],
            "level": "queue.level",
            "m": "m__valid",
        },
    )
    assert [port.name for port in simulation.outputs][-4:] == ["sent", "half", "level", "m"]
    rng = np.random.default_rng(0)
    ones = np.ones(100, int)
    inputs = {"m_ready": ones, "i_valid": rng.integers(0, 2, 100), "o_ready": ones, "r_valid": ones}
    trace = simulation.run(inputs)
    assert trace["sent"].tolist() == list(range(100))
    assert trace["half"].tolist() == [k >> 1 for k in range(100)]
    np.testing.assert_array_equal(trace["m"], trace["m_valid"])
    accepted = np.cumsum(inputs["i_valid"] & trace["i_ready"])
    taken = np.cumsum(trace["m_valid"] & trace["m_write"])
    np.testing.assert_array_equal(trace["level"][1:], (accepted - taken)[:-1])


@EACH
def test_a_probe_of_a_structure_has_a_port_for_each_field(simulator):
    component = Spill()
    simulation = prepare(component, simulator, {"p": component.m.payload})
    names = ["p_address", "p_write", "p_data"]
    assert [port.name for port in simulation.outputs][-3:] == names
    inputs = {"m_ready": np.ones(50, int), "i_valid": np.ones(50, int)}
    inputs["i_data"] = BEATS[:50]
    trace = simulation.run(inputs)
    for name in names:
        np.testing.assert_array_equal(trace[name], trace[f"m_{name[2:]}"])


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        ("queue.nothing", "probe queue.nothing: there is no signal nothing"),
        ("queues.level", "probe queues.level: the unit has no submodule queues; there are queue"),
        ("queue.storage.a.b", "queue.storage has no submodule a; there is none"),
    ],
)
def test_probes_that_are_not_there_are_refused(probe, text):
    with pytest.raises(ValueError, match=text):
        prepare(Spill(), probes={"x": probe})
    with pytest.raises(ValueError, match="probe x: 9 does not have 3 bits"):
        prepare(Spill(), probes={"x": ("queue.level", 9)})
    with pytest.raises(ValueError, match="probe o_valid: a port has this name"):
        prepare(Spill(), probes={"o_valid": "queue.level"})


def test_the_page_on_environments_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "environment.md"
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    exec(compile(code, str(page), "exec"), {"__name__": "page"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == re.findall(r"print\(.*\)  # (.*)", code)
    assert lines[0].endswith(" 100")
