"""Softmax and the output error: the rule in integers, and the unit's configuration and twin."""

from golden.softmax.config import SoftmaxConfig
from golden.softmax.integers import exponentials, softmax
from golden.softmax.twin import Softmax

__all__ = ["Softmax", "SoftmaxConfig", "exponentials", "softmax"]
