"""A network as one line of text, and the shapes that follow from an image's.

`32C5-MP2-64C5p2-MP2-512FC` is read as in the papers: 32 channels of a 5 x 5 convolution,
max-pooling over 2 x 2, and so on to 512 neurons, all joined to all. A last layer of one neuron a
class follows by itself. `s2` after a window's size is its stride, `p2` zeros (nothing at all, for
pooling) around the image; `C5x3` is 5 high and 3 wide. A convolution moves by 1 unless told, a
pooling by its size.

Every layer with weights is a convolution here: a dense layer has one window, the whole image.
"""

import re
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

#: Height, width, channels.
Shape = tuple[int, int, int]

_LAYER = re.compile(
    r"(?:(?P<neurons>\d+)FC"
    r"|(?:(?P<channels>\d+)C|(?P<pool>MP))(?P<height>\d+)(?:x(?P<width>\d+))?"
    r"(?:s(?P<stride>\d+))?(?:p(?P<padding>\d+))?)"
)
_MOST = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a convolution or a pooling looks at, at each of its places.

    Parameters
    ----------
    height, width
        Its size.
    stride
        Rows, and columns, from one place to the next.
    padding
        Rows and columns added on each side of the image.
    """

    height: int
    width: int
    stride: int = 1
    padding: int = 0

    def places(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of places on an image; below 1 where the window does not fit."""
        around = 2 * self.padding
        return (
            (height + around - self.height) // self.stride + 1,
            (width + around - self.width) // self.stride + 1,
        )

    @property
    def overlap(self) -> int:
        """The most places that look at the same pixel."""
        return -(-self.height // self.stride) * -(-self.width // self.stride)

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Places of an image that meet the same weights of a window in an error product.

    A window of stride s moves by s, so at a place (y, x) of an image with padding p stand only the
    weights (ky, kx) with ky = y + p and kx = x + p, modulo s.

    Parameters
    ----------
    top, left
        y + p and x + p modulo the stride.
    ys, xs
        Rows and columns of its places.
    kys, kxs
        Rows and columns of its weights.
    """

    top: int
    left: int
    ys: range
    xs: range
    kys: range
    kxs: range

    @property
    def places(self) -> int:
        """Places of an image."""
        return len(self.ys) * len(self.xs)

    @property
    def taps(self) -> int:
        """Places of a window; 0 where no window sees the places."""
        return len(self.kys) * len(self.kxs)

    def of(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """The places of the phase in a tensor (batch, y, x, ...), without a copy."""
        ys, xs = (slice(places.start, None, places.step) for places in (self.ys, self.xs))
        return tensor[:, ys, xs]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of a network's text.

    Parameters
    ----------
    text
        How it was written.
    outputs
        Channels or neurons; 0 of a pooling.
    window
        Of a convolution or a pooling; None of a dense layer.
    """

    text: str
    outputs: int
    window: Window | None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A layer with weights at its place in a network, and the max-pooling after it.

    Parameters
    ----------
    text
        How it was written.
    image
        Shape of what comes in.
    window
        What its products look at; of a dense layer the whole image.
    outputs
        Channels or neurons.
    pool
        Window of the max-pooling after it, or None.
    """

    text: str
    image: Shape
    window: Window
    outputs: int
    pool: Window | None

    @property
    def inputs(self) -> int:
        """Terms of a product: height * width * channels of the window."""
        return self.window.height * self.window.width * self.image[2]

    @property
    def sums(self) -> Shape:
        """Shape of the products, before pooling."""
        return (*self.window.places(*self.image[:2]), self.outputs)

    @property
    def pooled(self) -> Shape:
        """Shape of what goes on."""
        height, width, channels = self.sums
        return self.sums if self.pool is None else (*self.pool.places(height, width), channels)

    @property
    def dense(self) -> bool:
        """Whether it has one window alone, the whole image without padding."""
        return (self.window.height, self.window.width) == self.image[:2] and not self.window.padding

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a convolution's error product that have places, row by row."""
        window, step = self.window, self.window.stride
        height, width, _ = self.image
        found = (
            Phase(
                top=top,
                left=left,
                ys=range((top - window.padding) % step, height, step),
                xs=range((left - window.padding) % step, width, step),
                kys=range(top, window.height, step),
                kxs=range(left, window.width, step),
            )
            for top in range(step)
            for left in range(step)
        )
        return tuple(phase for phase in found if phase.places)


def parse(network: str) -> tuple[Layer, ...]:
    """The layers of a network's text, without the last one; an empty text has none.

    Raises
    ------
    TypeError, ValueError
        The text is none, or has what is not a layer; the message names it.
    """
    if not isinstance(network, str):
        raise TypeError(f"network = {network!r}: a text is wanted, as in '32C5-MP2-512FC'")
    layers: list[Layer] = []
    for text in network.split("-") if network else ():
        try:
            layers.append(_layer(text))
            before = layers[-2] if len(layers) > 1 else None
            if not layers[-1].outputs and not (before and before.outputs and before.window):
                raise ValueError(
                    f"{text} follows {before.text if before else 'the image'}: "
                    "a pooling follows a convolution"
                )
        except ValueError as error:
            raise ValueError(f"network = {network!r}: {error}") from None
    return tuple(layers)


def _layer(text: str) -> Layer:
    """The layer that one part of a network's text names."""
    found = _LAYER.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not a layer; nFC, nCk and MPk are, "
            "with sN for a stride and pN for padding, as in 32C5p2-MP3s2-512FC"
        )
    given = {
        name: int(value) for name, value in found.groupdict().items() if value and name != "pool"
    }
    for name, value in given.items():
        low = 0 if name == "padding" else 1
        if not low <= value <= _MOST:
            raise ValueError(f"{text}: {name} = {value}: allowed are {low} to {_MOST}")
    if "neurons" in given:
        return Layer(text=text, outputs=given["neurons"], window=None)
    height = given["height"]
    window = Window(
        height=height,
        width=given.get("width", height),
        stride=given.get("stride", height if found["pool"] else 1),
        padding=given.get("padding", 0),
    )
    most = min(window.height, window.width) - 1
    if window.padding > most:  # there would be places with nothing but padding
        raise ValueError(
            f"{text}: padding = {window.padding} of a window of {window}: allowed are 0 to {most}"
        )
    return Layer(text=text, outputs=given.get("channels", 0), window=window)


def stages(network: str, image: Shape, classes: int) -> tuple[Stage, ...]:
    """The layers with weights of `network` on images of a shape, the last one of a neuron a class.

    Raises
    ------
    ValueError
        A window does not fit what comes to it: the message names the layer and says what was found
        and which images are large enough.
    """
    layers = (*parse(network), Layer(text=f"{classes}FC", outputs=classes, window=None))
    found: list[Stage] = []
    shape = image
    for layer, after in zip(layers, (*layers[1:], None)):
        if not layer.outputs:
            continue  # a pooling: part of the stage before
        window = layer.window or Window(height=shape[0], width=shape[1])
        pool = after.window if after is not None and not after.outputs else None
        stage = Stage(text=layer.text, image=shape, window=window, outputs=layer.outputs, pool=pool)
        for part, place, size in ((layer.text, window, shape), ("MP", pool, stage.sums)):
            if place is not None and min(place.places(*size[:2])) < 1:
                name = part if part != "MP" or after is None else after.text
                raise ValueError(
                    f"network = {network!r}: {name} does not fit: a window of {place}, but "
                    f"{size[0]} x {size[1]} come to it from images of {image[0]} x {image[1]}; "
                    f"images of {_least(layers, 0)} x {_least(layers, 1)} or more are wanted"
                )
        found.append(stage)
        shape = stage.pooled
    return tuple(found)


def _least(layers: tuple[Layer, ...], axis: int) -> int:
    """Rows (axis 0) or columns (1) of the smallest image that fits."""
    size = 1
    for layer in reversed(layers):
        if (window := layer.window) is not None:
            size = (size - 1) * window.stride + (window.height, window.width)[axis]
            size = max(size - 2 * window.padding, 1)
    return size


def smallest(network: str) -> tuple[int, int]:
    """Rows and columns of the smallest image that `network` fits, one channel or more."""
    layers = parse(network)
    return _least(layers, 0), _least(layers, 1)
