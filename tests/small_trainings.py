"""Trainings of boards that are simulated in a second."""

from small_cores import random_images, small

from boards.trainer.training import BAUD, Training, shortened
from golden.core.lower import compiled

#: Clocks of a bit on the simulated line.
BIT = 4


def made(images=33, tests=8, classes=5, data=None, shape=(3, 3, 1), **changes):
    """A training that is simulated in a second."""
    recipe = small(**{"epochs": 3, "order": "lfsr", "rates": ((1, 0), (3, -1))} | changes)
    if data is None:
        data = shortened(random_images(shape, classes, count=images), None, tests)
    core = compiled(recipe, data.shape, data.classes)
    return Training(compiled=core, dataset=data, board="desk", frequency=BIT * BAUD)
