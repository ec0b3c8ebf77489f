"""A hundred steps on the compiled simulator: networks of small odd sizes, random ones, the digits.

What differs only after many steps: counts that wrap, lanes, buffers that take turns, rates.
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_cores import networks, random_images, small

from golden.core.lower import compiled
from golden.core.lowering import Gradients
from golden.datasets import digits
from golden.training import load
from gradloom.core.session import compare_steps

STEPS = 100
ODD = {"network": "7FC-5FC", "rows": 4, "columns": 3, "batch": 5}


@pytest.mark.long
@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        # As in test_core.py, so that they are compiled once.
        (small(epochs=20, rates=((1, 0), (3, -1), (7, 1))), {}),
        (
            small(**ODD, error_rounding="stochastic", epochs=20),
            {"inputs": 2, "gradients": Gradients.TWICE},
        ),
    ],
)
def test_odd_networks(recipe, options):
    core = compiled(recipe, (2, 3, 1), 5, **options)
    result = compare_steps(core, random_images((2, 3, 1), 5), STEPS)
    assert result, result.report()


@pytest.mark.long
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller one is compiled again
)
@given(networks(), st.sampled_from([1, 2]), st.sampled_from(list(Gradients)))
def test_random_networks(network, inputs, gradients):
    """Each is compiled: more steps than on Amaranth's simulator, and few networks."""
    recipe, shape, classes = network
    core = compiled(recipe, shape, classes, inputs=inputs, gradients=gradients)
    data = random_images(shape, classes)
    result = compare_steps(core, data, steps=20)
    assert result, result.report()


@pytest.mark.long
def test_the_digits():
    """64-128-10 with batch 64: more than four epochs."""
    core = compiled(load("digits-wage", ["batch=64"]), (8, 8, 1), 10)
    result = compare_steps(core, digits(), STEPS)
    assert result, result.report()
    assert result.steps == STEPS and result.clocks > STEPS * 20_000
