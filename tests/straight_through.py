"""What a backward pass with straight-through estimators takes the forward pass for."""

import numpy as np
import pytest

from golden.training.layers.float import Scaled, loss_and_error

PARAMETERS = ("weights", "biases", "gammas")


def gradients(trainer, pixels, labels):
    passes, outputs = trainer._train_forward(pixels, None)
    _, d = loss_and_error(trainer.recipe.loss, outputs, labels)
    slopes = dict(trainer._slopes(passes, d / len(labels), None))
    return {name: [getattr(slopes[k], name) for k in sorted(slopes)] for name in PARAMETERS}


def check_gradients(kind, top, make, smooth=lambda point, layer, weight: weight):
    """Gradients of a trainer against differences of a loss that is smooth near its parameters.

    Quantized weights are taken for the stored ones and a constant, quantized activations for a
    clipped ReLU and a constant; the constants are those of the point where the gradient is.

    Parameters
    ----------
    kind
        Class of the trainer.
    top
        Where the ReLU is clipped.
    make
        A function that makes a trainer of a class, for batches of 5 and pixels of 0 to 255: whole
        sums that tie in a pooling would be kinks.
    smooth
        What weights of a layer are taken for, of (the trainer at the point, layer, weights).
    """

    class Precise(kind):
        KIND = np.float64

    class Smooth(Precise):
        def _input(self, pixels):
            self.at = 0
            return super()._input(pixels)

        def _forward_weight(self, layer):
            point_weight = smooth(point, layer, point.weights[layer])
            moved = smooth(point, layer, self.weights[layer]) - point_weight
            return Scaled(words=point._forward_weight(layer).reals + moved)

        def _activation(self, y):
            quantized, mask, beyond = super()._activation(y)
            clipped = np.clip(y, 0, top)
            if self.at == len(self.jumps):  # the first pass, at the point itself
                self.jumps.append(quantized.reals - clipped)
            self.at += 1
            return Scaled(words=clipped + self.jumps[self.at - 1]), mask, beyond

    point, near = make(Precise), make(Smooth)
    near.jumps = []
    random = np.random.default_rng(1)
    for name in PARAMETERS:
        spread = 0.2 if name == "gammas" else 0.5
        shaken = [x + random.uniform(-spread, spread, x.shape) for x in getattr(point, name)]
        setattr(point, name, shaken)
        setattr(near, name, [x.copy() for x in shaken])
    images = random.integers(0, 256, (point.recipe.batch, *point.shape), np.uint8)
    labels, pixels = random.integers(0, 4, len(images)), point._pixels(images)
    found = gradients(point, pixels, labels)

    def loss():
        _, outputs = near._train_forward(pixels, None)
        return loss_and_error(near.recipe.loss, outputs, labels)[0] / len(labels)

    _, outputs = point._train_forward(pixels, None)
    assert loss() == pytest.approx(loss_and_error(point.recipe.loss, outputs, labels)[0] / 5)
    for name in PARAMETERS:
        for layer, array in enumerate(getattr(near, name)):
            for index in random.permutation(array.size)[:25]:
                place, values = np.unravel_index(index, array.shape), []
                at = array[place]
                for step in (1e-6, -1e-6):
                    array[place] = at + step
                    values.append(loss())
                array[place] = at
                numeric = (values[0] - values[1]) / 2e-6
                assert found[name][layer][place] == pytest.approx(numeric, rel=1e-5, abs=1e-7)
