import re

import pytest
from amaranth.back import verilog
from amaranth.hdl import Elaboratable, Fragment, Module, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from generated import CASES, configured
from toys import Queue

import golden
import hdl
from golden.port import Port, inputs_of, outputs_of
from gradloom.sim.toplevel import TopLevel, flatten
from hdl.layout import payload

QUEUE = Queue()


class Mode(enum.Enum, shape=3):
    PLAIN = 0
    TWICE = 1


class Unit(wiring.Component):
    def __init__(self, members):
        super().__init__(members)
        Fragment.get(self, None)  # Amaranth warns of components that are never elaborated

    def elaborate(self, platform):
        return Module()


def names(members):
    return [port.name for port in flatten(Unit(members))]


def test_a_stream_of_fields_drops_the_word_payload():
    assert flatten(QUEUE) == [
        Port("i_valid", "in", 1),
        Port("i_ready", "out", 1),
        Port("i_data", "in", 13, signed=True, lanes=5),
        Port("i_last", "in", 1),
        Port("o_valid", "out", 1),
        Port("o_ready", "in", 1),
        Port("o_data", "out", 13, signed=True, lanes=5),
        Port("o_last", "out", 1),
    ]


def test_a_stream_without_fields_has_data():
    members = {"i": In(stream.Signature(signed(9)))}
    ports = flatten(Unit(members))
    assert ports[-1] == Port("i_data", "in", 9, signed=True)
    assert names({"o": Out(stream.Signature(data.ArrayLayout(4, 2)))})[-1] == "o_data"


@pytest.mark.parametrize(
    ("constant", "left"),
    [
        ({"always_ready": True}, ["i_valid", "i_data"]),
        ({"always_valid": True}, ["i_ready", "i_data"]),
        ({"always_ready": True, "always_valid": True}, ["i_data"]),
    ],
)
@pytest.mark.parametrize("flow", [In, Out])
def test_constants_of_a_stream_are_no_ports(constant, left, flow):
    assert names({"i": flow(stream.Signature(8, **constant))}) == left


def test_arrays_of_ports_are_vectors():
    members = {
        "a": In(signed(4)).array(3),
        "b": Out(2).array(2, 3),
        "c": In(stream.Signature(data.StructLayout({"x": 3}))).array(2),
        "d": Out(data.StructLayout({"x": 3, "y": signed(2)})).array(4),
    }
    ports = {port.name: port for port in flatten(Unit(members))}
    assert ports["a"] == Port("a", "in", 4, signed=True, lanes=3)
    assert ports["b"].lanes == 6
    assert ports["c_1_x"] == Port("c_1_x", "in", 3)
    assert ports["d_y"] == Port("d_y", "out", 2, signed=True, lanes=4)


def test_structures_enumerations_and_classes_are_flattened():
    class Pair(data.Struct):
        mode: Mode
        terms: data.ArrayLayout(signed(6), 2)

    ports = flatten(Unit({"p": Out(Pair), "m": In(Mode)}))
    assert ports == [
        Port("p_mode", "out", 3),
        Port("p_terms", "out", 6, signed=True, lanes=2),
        Port("m", "in", 3),
    ]


def test_what_cannot_be_plain_is_refused():
    grid = data.ArrayLayout(data.ArrayLayout(4, 2), 2)
    with pytest.raises(TypeError, match="port i_data is an array of arrays"):
        names({"i": In(stream.Signature(grid))})
    with pytest.raises(ValueError, match="port wide has elements of 63 bits: at most 62"):
        names({"wide": In(63)})
    with pytest.raises(ValueError, match="two ports are called i_valid"):
        names({"i": In(stream.Signature(8)), "i_valid": In(1)})
    with pytest.raises(ValueError, match="two ports are called rst"):
        names({"rst": In(1)})


def test_ranges_follow_the_sign():
    assert (Port("a", "in", 8, signed=True).minimum, Port("a", "in", 8, signed=True).maximum) == (
        -128,
        127,
    )
    assert (Port("a", "in", 62).minimum, Port("a", "in", 62).maximum) == (0, 2**62 - 1)
    assert (Port("a", "in", 1, signed=True).minimum, Port("a", "in", 1, signed=True).maximum) == (
        -1,
        0,
    )


def test_sides_of_a_unit():
    ports = flatten(QUEUE)
    assert [port.name for port in inputs_of(ports)] == [
        "rst",
        "i_valid",
        "i_data",
        "i_last",
        "o_ready",
    ]
    assert [port.name for port in outputs_of(ports)] == ["i_ready", "o_valid", "o_data", "o_last"]


def test_generated_verilog_has_the_plain_ports():
    top = TopLevel(QUEUE)
    assert isinstance(top, Elaboratable)
    text = verilog.convert(
        top, name="queue", ports=top.ports, emit_src=False, strip_internal_attrs=True
    )
    module = text[text.index("module queue(") :]
    module = module[: module.index("endmodule")]
    found = re.findall(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\w+);", module, re.M)
    expected = {(port.name, port.direction, port.bits) for port in top.flat}
    expected |= {("clk", "in", 1), ("rst", "in", 1)}
    directions = {"input": "in", "output": "out"}
    assert {
        (name, directions[way], int(top_bit or 0) + 1) for way, top_bit, name in found
    } == expected
    assert "queue.unit" in text


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_hardware_has_the_ports_that_its_configuration_lists(name, arguments):
    unit, config = configured(name, arguments)
    component = unit.component(config)
    Fragment.get(component, None)
    assert flatten(component) == list(config.ports)
    assert all(port.meaning for port in config.ports)
    for name in ("i", "o"):
        if hasattr(component, name):
            assert payload(config, name) == getattr(component, name).payload.shape()


def test_a_payload_of_no_stream_is_refused():
    with pytest.raises(ValueError, match="no stream is called i; there are o"):
        payload(golden.LfsrConfig(), "i")


def test_ports_follow_their_parameters_over_their_whole_range():
    made = [
        *((hdl.ActivationQuantizer, golden.ActivationQuantizerConfig(most_shift=shift))
          for shift in range(1, 25)),
        *((unit, config(width=width))
          for width in range(2, 55)
          for unit, config in (
              (hdl.ShiftExponent, golden.ShiftExponentConfig),
              (hdl.ErrorQuantizer, golden.ErrorQuantizerConfig),
              (hdl.WeightUpdate, golden.WeightUpdateConfig),
          )),
        *((hdl.Rounder, golden.RounderConfig(conversions=(golden.Conversion(
              fraction=20, target=golden.Fixed(2, 6)),) * count))
          for count in range(1, 17)),
    ]  # fmt: skip
    for unit, config in made:
        component = unit(config)
        Fragment.get(component, None)
        assert flatten(component) == list(config.ports), config
