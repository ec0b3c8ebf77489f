"""The serial line and its frames against their twins, at every clock: stalls and resets too."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.link import (
    deframer,
    deframer_twin,
    framer,
    framer_twin,
    receiver,
    receiver_twin,
    uart_twin,
)
from boards.link.deframer_twin import DeframerConfig
from boards.link.frame import CHANGE, ESCAPE, FLAG, Frame, Frames
from boards.link.framer_twin import FramerConfig
from boards.link.receiver_twin import ReceiverConfig
from boards.link.uart_twin import UartConfig
from tests.boards.test_gateware import SPECIFIED, agrees, bits

SPECIFIED[receiver.Receiver] = {"byte": [("valid", 1)]}
SPECIFIED[deframer.Deframer] = {name: [("there", 1)] for name in ("size", "data")}
SPECIFIED[framer.Framer] = {"o_data": [("o_valid", 1)]}


@pytest.mark.parametrize("clocks", [2, 3, 4, 9])
@pytest.mark.parametrize("resets", [0, 0.002])
def test_a_receiver_is_its_twin_on_any_line(clocks, resets):
    rng = np.random.default_rng(clocks)
    config = ReceiverConfig(clocks=clocks)
    # Levels that last some clocks each: bytes, glitches, breaks.
    levels = np.repeat(rng.integers(0, 2, 700), rng.integers(1, 2 * clocks, 700))[:4000]
    inputs = {"rx": levels, "rst": bits(rng, len(levels), resets)}
    out = agrees(receiver.Receiver(config), receiver_twin.Receiver(config), inputs)
    assert out["valid"].sum() > 10


@pytest.mark.parametrize("clocks", [2, 4, 5])
def test_what_is_sent_is_received(clocks):
    data = np.arange(256).repeat(11 * clocks)
    given = {"i_valid": np.ones(len(data), int), "i_data": data}
    twin = uart_twin.Transmitter(UartConfig(clocks=clocks))
    line = twin.run(given)
    config = ReceiverConfig(clocks=clocks)
    out = receiver_twin.Receiver(config).run({"rx": line["tx"]})
    sent = data[line["i_ready"] == 1]
    got = out["byte"][out["valid"] == 1]
    assert len(got) >= len(sent) - 2 and np.array_equal(got, sent[: len(got)])
    # The start bit begins `latency` clocks after a byte is taken.
    begins = np.flatnonzero(line["i_ready"])[0] + UartConfig.latency
    assert np.flatnonzero(out["valid"])[0] == begins + config.latency


def damaged(rng, sent):
    """Bytes of frames, now and then damaged."""
    found = bytearray()
    for frame in sent:
        part = bytearray(frame.encoded)
        for _ in range(int(rng.integers(0, 3))):
            place = int(rng.integers(max(1, len(part))))
            if not part:
                break
            match int(rng.integers(0, 6)):
                case 0:
                    part[place] ^= 1 << int(rng.integers(8))
                case 1:
                    del part[place]
                case 2:
                    part.insert(place, int(rng.integers(256)))
                case 3:
                    part.insert(place, FLAG)
                case 4:
                    del part[place:]
        found += part
    return bytes(found)


def random_frames(rng, count, longest):
    return [
        Frame(
            int(rng.integers(256)),
            int(rng.integers(1 << 16)),
            rng.choice([FLAG, ESCAPE, 0, 255, 7], int(rng.integers(0, longest + 2)))
            .astype(np.uint8)
            .tobytes(),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("longest", [1, 6, 23])
@pytest.mark.parametrize("resets", [0, 0.002])
def test_a_deframer_is_its_twin(longest, resets):
    rng = np.random.default_rng(longest)
    config = DeframerConfig(longest=longest)
    sent = np.frombuffer(damaged(rng, random_frames(rng, 90, longest)), np.uint8).astype(int)
    valid = bits(rng, 2 * len(sent), 0.6)
    byte = sent[np.minimum(np.cumsum(valid) - valid, len(sent) - 1)]
    inputs = {
        "valid": valid,
        "byte": byte,
        "done": bits(rng, len(valid), 0.4),
        # A reset leaves the memory alone; no frame has less than 9 bytes.
        "place": rng.integers(0, 9 if resets else 1 << config.place_bits, len(valid)),
        "rst": bits(rng, len(valid), resets),
    }
    out = agrees(deframer.Deframer(config), deframer_twin.Deframer(config), inputs)
    assert out["there"].sum() > 10


@pytest.mark.parametrize("longest", [1, 5, 40])
@pytest.mark.parametrize(("ready", "resets"), [(1, 0), (0.3, 0), (0.6, 0.003)])
def test_a_framer_is_its_twin(longest, ready, resets):
    rng = np.random.default_rng(longest)
    config = FramerConfig(longest=longest)
    clocks = 1500
    inputs = {
        "start": bits(rng, clocks, 0.1),
        "kind": rng.integers(0, 256, clocks),
        "number": rng.choice([FLAG, ESCAPE << 8, 3], clocks),
        "size": rng.integers(0, longest + 1, clocks),
        "data": rng.choice([FLAG, ESCAPE, 1, 2, 255], clocks),
        "o_ready": bits(rng, clocks, ready),
        "rst": bits(rng, clocks, resets),
    }
    assert agrees(framer.Framer(config), framer_twin.Framer(config), inputs)["o_valid"].any()


def test_frames_are_those_of_python():
    """What the gates' twins send and find is what the module of frames encodes."""
    rng = np.random.default_rng(1)
    for frame in random_frames(rng, 20, 12):
        if len(frame.payload) > 12:
            continue
        payload = np.array([*frame.payload, 0])
        clocks = 8 * len(frame.encoded) + 20
        twin = framer_twin.Framer(FramerConfig(longest=12))
        state, sent, place = twin.initial(), bytearray(), 0
        for clock in range(clocks):
            state, out = twin.advance(
                state,
                {
                    "start": [clock == 0],
                    "kind": [frame.kind],
                    "number": [frame.number],
                    "size": [len(frame.payload)],
                    "data": [payload[min(place, len(payload) - 1)]],
                    "o_ready": [1],
                },
            )
            place = int(out["place"][0])
            if out["o_valid"][0]:
                sent.append(int(out["o_data"][0]))
        assert bytes(sent) == frame.encoded
        assert list(Frames().decoded(bytes(sent))) == [frame]
        zeros = np.zeros(len(sent) + 1, int)
        found = deframer_twin.Deframer(DeframerConfig(longest=12)).run(
            {"valid": zeros + 1, "byte": [*sent, 0], "done": zeros, "place": zeros}
        )
        assert found["there"].tolist() == [0] * len(sent) + [1]
        assert found["size"][-1] == len(frame.content) + 4


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=30))),
    st.integers(1, 50),
)
def test_frames_come_through_in_any_parts(values, size):
    sent = [Frame(*each) for each in values]
    whole = b"\x01\x02" + b"".join(frame.encoded for frame in sent)
    frames = Frames()
    found = [
        frame
        for at in range(0, len(whole), size)
        for frame in frames.decoded(whole[at : at + size])
    ]
    assert found == sent and not frames.dropped


def test_no_damaged_frame_comes_through():
    rng = np.random.default_rng(0)
    sent = random_frames(rng, 3000, 20)
    frames = Frames(longest=21)
    found = list(frames.decoded(damaged(rng, sent)))
    assert frames.dropped > 500 and len(found) > 500
    rest = iter(sent)
    assert all(frame in rest for frame in found), "each is one that was sent, in its order"


@pytest.mark.parametrize("bit", range(0, 8 * 18, 5))
def test_every_single_bit_matters(bit):
    frame = Frame(3, 0x1234, bytes(range(9)))
    content = bytearray(frame.content + zlib.crc32(frame.content).to_bytes(4, "little"))
    content[bit // 8] ^= 1 << bit % 8
    line = bytearray([FLAG])
    for byte in content:
        line += bytes([ESCAPE, byte ^ CHANGE]) if byte in (FLAG, ESCAPE) else bytes([byte])
    frames = Frames()
    assert not list(frames.decoded(bytes([*line, FLAG]))) and frames.dropped == 1
