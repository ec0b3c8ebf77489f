"""Configurations of small arrays and their nodes."""

import golden
from golden.fixed import Fixed
from golden.macc import MaccConfig


def fixed(width):
    return Fixed(1, width - 1)


def small(rows, columns, conversions=(), **node):
    macc = MaccConfig(**{"a": fixed(8), "b": fixed(8), "depth": 100} | node)
    return golden.ArrayConfig(rows=rows, columns=columns, macc=macc, conversions=conversions)
