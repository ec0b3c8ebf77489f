"""Networks as one line of text, and the shapes of their layers.

The text has the form of the papers: in `32C5-MP2-64C5p2-MP2-512FC`, `32C5` is a 5 x 5 convolution
with 32 channels, `MP2` is max-pooling over 2 x 2, and `512FC` is a dense layer of 512 neurons. The
last layer, with one neuron per class, is not written. `C5x3` is 5 high and 3 wide. After a window's
size, `s2` is a stride of 2 and `p2` a padding of 2: zeros around the image, or for a pooling values
below all others. The default stride is 1 for a convolution and the window's size for a pooling.

Every layer with weights is treated as a convolution. A dense layer has one window, the whole image.
"""

import re
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from golden import check

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
    """The window of a convolution or a pooling.

    A place is a position of the window on the image.

    Parameters
    ----------
    height, width
        Size.
    stride
        Distance of neighbouring places, in both directions.
    padding
        Number of rows and columns added at each side of the image.

    Examples
    --------
    >>> Window(height=5, width=5, padding=2, stride=2).places(28, 28)
    (14, 14)
    """

    height: int
    width: int
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, None, "height", "width", "stride")
        check.whole_fields(self, 0, None, "padding")

    def places(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of places on an image; below 1 if the window does not fit."""
        around = 2 * self.padding
        return (
            (height + around - self.height) // self.stride + 1,
            (width + around - self.width) // self.stride + 1,
        )

    @property
    def overlap(self) -> int:
        """Largest number of places that cover the same pixel."""
        return -(-self.height // self.stride) * -(-self.width // self.stride)

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Pixels of an image that are multiplied by the same weights of a window.

    With stride s and padding p, a pixel (y, x) is multiplied only by weights (ky, kx) with
    ky = y + p and kx = x + p modulo s.

    Parameters
    ----------
    top, left
        y + p and x + p modulo the stride.
    ys, xs
        Rows and columns of the pixels.
    kys, kxs
        Rows and columns of the weights.
    """

    top: int
    left: int
    ys: range
    xs: range
    kys: range
    kxs: range

    @property
    def places(self) -> int:
        """Number of pixels per image."""
        return len(self.ys) * len(self.xs)

    @property
    def taps(self) -> int:
        """Number of weights per channel and output; 0 if no window covers the pixels."""
        return len(self.kys) * len(self.kxs)

    def of(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the phase's pixels in a tensor (batch, y, x, ...)."""
        ys, xs = (slice(places.start, None, places.step) for places in (self.ys, self.xs))
        return tensor[:, ys, xs]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of a network's text.

    Parameters
    ----------
    text
        The layer's text.
    outputs
        Number of channels or neurons; 0 for a pooling.
    window
        Window of a convolution or a pooling; None for a dense layer.
    """

    text: str
    outputs: int
    window: Window | None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A layer with weights in a network, together with the max-pooling after it.

    Parameters
    ----------
    text
        The layer's text.
    image
        Shape of its input.
    window
        Window of its products; for a dense layer, the whole image.
    outputs
        Number of channels or neurons.
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
        """Number of terms of a sum: height * width of the window, times channels."""
        return self.window.height * self.window.width * self.image[2]

    @property
    def sums(self) -> Shape:
        """Shape of the sums, before pooling."""
        return (*self.window.places(*self.image[:2]), self.outputs)

    @property
    def pooled(self) -> Shape:
        """Shape of the output, after pooling."""
        height, width, channels = self.sums
        return self.sums if self.pool is None else (*self.pool.places(height, width), channels)

    @property
    def dense(self) -> bool:
        """Whether the window is the whole image without padding."""
        return (self.window.height, self.window.width) == self.image[:2] and not self.window.padding

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of a convolution's error product that have pixels, row by row."""
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
    """Return the layers in the text of a network, without the last layer.

    Raises
    ------
    TypeError
        The argument is not a text.
    ValueError
        A part of the text is not a layer, or a pooling does not follow a convolution.

    Examples
    --------
    >>> [layer.outputs for layer in parse("32C5-MP2-512FC")]
    [32, 0, 512]
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
    """Return the layer of one part of a network's text."""
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
    if window.padding > most:  # some places would cover padding only
        raise ValueError(
            f"{text}: padding = {window.padding} of a window of {window}: allowed are 0 to {most}"
        )
    return Layer(text=text, outputs=given.get("channels", 0), window=window)


def stages(network: str, image: Shape, classes: int) -> tuple[Stage, ...]:
    """Return the layers with weights of a network, the last one with one neuron per class.

    Parameters
    ----------
    network
        Text of the network.
    image
        Shape of an image.
    classes
        Number of classes.

    Raises
    ------
    ValueError
        A window is larger than its input. The message has the layer, both sizes and the smallest
        size of images.

    Examples
    --------
    >>> [(stage.text, stage.inputs, stage.pooled) for stage in stages("8C3-MP2", (8, 8, 1), 10)]
    [('8C3', 9, (3, 3, 8)), ('10FC', 72, (1, 1, 10))]
    """
    image, classes = image_shape(image), check.whole("classes", classes, 1, _MOST)
    layers = (*parse(network), Layer(text=f"{classes}FC", outputs=classes, window=None))
    found: list[Stage] = []
    shape = image
    for layer, after in zip(layers, (*layers[1:], None)):
        if not layer.outputs:
            continue  # a pooling belongs to the previous stage
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


def image_shape(shape: Shape) -> Shape:
    """Return the height, width and channels of an image, checked, 1 to 65536 each."""
    names = "height", "width", "channels"
    if not isinstance(shape, tuple | list) or len(shape) != len(names):
        raise TypeError(f"shape = {check.shown(shape)}: {', '.join(names)} are wanted")
    height, width, channels = (
        check.whole(name, size, 1, _MOST) for name, size in zip(names, shape)
    )
    return height, width, channels


def _least(layers: tuple[Layer, ...], axis: int) -> int:
    """Return the rows (axis 0) or columns (axis 1) of the smallest image that fits."""
    size = 1
    for layer in reversed(layers):
        if (window := layer.window) is not None:
            size = (size - 1) * window.stride + (window.height, window.width)[axis]
            size = max(size - 2 * window.padding, 1)
    return size


def smallest(network: str) -> tuple[int, int]:
    """Return the rows and columns of the smallest image for a network.

    Examples
    --------
    >>> smallest("32C5-MP2-64C5-MP2")
    (16, 16)
    """
    layers = parse(network)
    return _least(layers, 0), _least(layers, 1)
