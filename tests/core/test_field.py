"""Instructions as words and back; layouts of the hardware's decoders are the same bits."""

import pytest
from amaranth.hdl import Shape
from hypothesis import given
from hypothesis import strategies as st

from golden.core.field import WORD, changed, decode, encode, leaves, words_of
from golden.core.index import Index
from golden.core.isa import INSTRUCTIONS, ArrayInstruction, Engine, Opcode, TileLoop
from hdl.core.fields import layout

KINDS = sorted(set(INSTRUCTIONS.values()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_every_number_comes_back(kind, data):
    def filled(value, path=()):
        changes = {}
        for leaf in leaves(type(value)):
            if len(leaf.path) == 1:
                bits = leaf.bits
                number = data.draw(st.integers(bits.low, bits.high))
                if leaf.kind not in (int, bool):
                    number = data.draw(st.sampled_from(list(leaf.kind)))
                changes[leaf.path[0]] = leaf.kind(number)
        return type(value)(**{**vars(value), **changes})

    instruction = filled(kind())
    words = encode(instruction)
    assert len(words) == words_of(kind) and all(0 <= word < 1 << WORD for word in words)
    assert decode(kind, words) == instruction


@given(st.integers(-1000, 1000), st.integers(1, 20))
def test_an_index_is_a_pair(flat, banks):
    index = Index.of(flat, banks)
    assert 0 <= index.low < banks and index.flat(banks) == flat


@pytest.mark.parametrize("kind", KINDS)
def test_decoders_have_the_same_bits(kind):
    """The place of every number, as Amaranth finds it, is that of the encoding."""
    made = layout(kind)
    for leaf in leaves(kind):
        at, shape = 0, made
        for part in leaf.path:
            field = shape[part]
            at, shape = at + field.offset, field.shape
        assert at == leaf.first
        assert Shape.cast(shape) == Shape(leaf.bits.width, leaf.bits.signed)


def test_counts_are_stored_less_one():
    one = encode(ArrayInstruction(tiles=(TileLoop(count=1),) * 6))
    assert one == encode(ArrayInstruction())
    assert changed(ArrayInstruction(tiles=(TileLoop(count=3), *(TileLoop(),) * 5))) == {
        "tiles0_count": 3
    }


def test_words_of_zeros_are_no_instruction():
    for engine in Engine:
        kind = INSTRUCTIONS[engine]
        assert decode(kind, [0] * words_of(kind)).opcode is Opcode.ILLEGAL


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"s": 1 << 20}, "s = 1048576: allowed are 0 to 1048575"),
        ({"a": Index(high=1 << 19)}, "a_high = 524288: allowed are -524288 to 524287"),
        ({"last_count": 0}, "last_count = 0: allowed are 1 to 65536"),
    ],
)
def test_a_number_that_does_not_fit_is_named(change, text):
    with pytest.raises(ValueError, match=text):
        encode(ArrayInstruction(**change))


def test_every_number_has_a_meaning():
    for kind in KINDS:
        for leaf in leaves(kind):
            assert leaf.bits.text and leaf.bits.text[0].isupper(), leaf.name
