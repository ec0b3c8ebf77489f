"""Networks as text, and the shapes that follow."""

import pytest

from golden.training.layers.network import Window, parse, stages


def test_the_papers_network():
    """32C5-MP2-64C5-MP2-512FC on 28 x 28, as in Wu et al. 2018."""
    first, second, third, last = stages("32C5-MP2-64C5-MP2-512FC", (28, 28, 1), 10)
    assert (first.inputs, first.sums, first.pooled) == (25, (24, 24, 32), (12, 12, 32))
    assert (second.image, second.inputs) == ((12, 12, 32), 800)
    assert (second.sums, second.pooled) == ((8, 8, 64), (4, 4, 64))
    assert (third.inputs, third.sums, third.pooled) == (1024, (1, 1, 512), (1, 1, 512))
    assert (last.text, last.inputs, last.outputs) == ("10FC", 512, 10)
    assert [stage.dense for stage in (first, second, third, last)] == [False, False, True, True]
    assert first.pool == Window(height=2, width=2, stride=2)
    assert third.pool is None


def test_every_part_of_a_text_is_read():
    layers = parse("7C3x4s2p1-MP5x3s4p2-9FC")
    assert [layer.text for layer in layers] == ["7C3x4s2p1", "MP5x3s4p2", "9FC"]
    assert [layer.outputs for layer in layers] == [7, 0, 9]
    assert layers[0].window == Window(height=3, width=4, stride=2, padding=1)
    assert layers[1].window == Window(height=5, width=3, stride=4, padding=2)
    assert layers[2].window is None


def test_strides_are_1_of_a_convolution_and_the_size_of_a_pooling():
    convolution, pooling = parse("7C3-MP3")
    assert convolution.window.stride == 1
    assert pooling.window.stride == 3


def test_no_text_is_a_single_layer():
    assert parse("") == ()
    (only,) = stages("", (2, 3, 4), 5)
    assert (only.inputs, only.outputs, only.dense) == (24, 5, True)


@pytest.mark.parametrize(
    ("network", "image", "sums", "pooled"),
    [
        ("4C3", (8, 9, 1), (6, 7), (6, 7)),
        ("4C3p1", (8, 9, 1), (8, 9), (8, 9)),
        ("4C3s2", (8, 9, 1), (3, 4), (3, 4)),
        ("4C3s2p1", (8, 9, 1), (4, 5), (4, 5)),
        ("4C1x2-MP2", (8, 9, 1), (8, 8), (4, 4)),
        ("4C1-MP2", (8, 9, 1), (8, 9), (4, 4)),
        ("4C1-MP3s2", (8, 9, 1), (8, 9), (3, 4)),
        ("4C1-MP3s2p1", (8, 9, 1), (8, 9), (4, 5)),
        ("4C5", (5, 5, 1), (1, 1), (1, 1)),
    ],
)
def test_shapes(network, image, sums, pooled):
    stage = stages(network, image, 2)[0]
    assert stage.sums == (*sums, 4)
    assert stage.pooled == (*pooled, 4)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 6))
def test_overlap_is_how_many_places_see_a_pixel(size, stride):
    window = Window(height=size, width=2, stride=stride)
    places = window.places(40, 40)[0]
    seen = [sum(0 <= y - stride * place < size for place in range(places)) for y in range(40)]
    across = 2 if stride == 1 else 1
    assert window.overlap == max(seen) * across


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        ("32K5", "network = '32K5': '32K5' is not a layer; nFC, nCk and MPk are"),
        ("32C5--MP2", "'' is not a layer"),
        ("32C5-MP2-", "'' is not a layer"),
        ("32c5", "'32c5' is not a layer"),
        ("32C5p2s1", "'32C5p2s1' is not a layer"),
        ("128FCs2", "'128FCs2' is not a layer"),
        ("-5FC", "'' is not a layer"),
        ("0FC", "network = '0FC': 0FC: neurons = 0: allowed are 1 to 65536"),
        ("65537FC", "65537FC: neurons = 65537: allowed are 1 to 65536"),
        ("0C3", "0C3: channels = 0: allowed are 1 to 65536"),
        ("3C0", "3C0: height = 0: allowed are 1 to 65536"),
        ("3C3x0", "3C3x0: width = 0: allowed are 1 to 65536"),
        ("3C3s0", "3C3s0: stride = 0: allowed are 1 to 65536"),
        ("3C3p3", "3C3p3: padding = 3 of a window of 3 x 3: allowed are 0 to 2"),
        ("3C3x2p2", "3C3x2p2: padding = 2 of a window of 3 x 2: allowed are 0 to 1"),
        ("MP2", "MP2 follows the image: a pooling follows a convolution"),
        ("5FC-MP2", "MP2 follows 5FC: a pooling follows a convolution"),
        ("5C3-MP2-MP2", "MP2 follows MP2: a pooling follows a convolution"),
    ],
)
def test_what_is_not_a_network_is_named(network, complaint):
    with pytest.raises(ValueError) as raised:
        parse(network)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_network_is_text():
    with pytest.raises(TypeError, match=r"network = \(128,\): a text is wanted, as in"):
        parse((128,))


@pytest.mark.parametrize(
    ("network", "image", "complaint"),
    [
        (
            "4C5",
            (4, 9, 1),
            "network = '4C5': 4C5 does not fit: a window of 5 x 5, but 4 x 9 come to it "
            "from images of 4 x 9; images of 5 x 5 or more are wanted",
        ),
        ("4C5-MP2-4C5-MP2", (28, 14, 3), "MP2 does not fit: a window of 2 x 2, but 8 x 1 come"),
        ("4C5-MP2-4C5-MP2", (28, 12, 3), "images of 16 x 16 or more are wanted"),
        ("4C5p2-MP3s2", (28, 2, 3), "images of 3 x 3 or more are wanted"),
        ("4C5s3-MP3s2", (10, 10, 3), "images of 11 x 11 or more are wanted"),
    ],
)
def test_images_too_small_are_refused(network, image, complaint):
    with pytest.raises(ValueError) as raised:
        stages(network, image, 10)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("network", "least"),
    [("4C5-MP2-4C5-MP2", 16), ("4C5s3-MP3s2", 11), ("4C5p2-MP3s2", 3), ("4C3p1-MP3s2p1", 1)],
)
def test_the_least_image_fits_and_none_smaller(network, least):
    stages(network, (least, least, 1), 10)
    if least > 1:
        with pytest.raises(ValueError, match=f"{least} x {least} or more"):
            stages(network, (least - 1, least, 1), 10)
