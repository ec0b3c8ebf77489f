"""Configurations and operands of the update units for the recorded updates of a training step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import golden
from golden.fixed import Codes, Fixed
from golden.order import VectorOrder
from golden.quantize import GridRule
from golden.training import Binarize, Entry, LiRecipe, Record
from golden.training.step.operation import Kind, Operation
from golden.training.step.ops import (
    FineStep,
    FineUpdate,
    FixedPointUpdate,
    GridUpdate,
    GridWeight,
)


def bits_of(tensors: Sequence[Codes]) -> int:
    """Return the number of bits, at least 2, of a word for every code."""
    lowest = min(
        min(int(codes.min(initial=0)), -int(codes.max(initial=0)) - 1) for codes in tensors
    )
    return max((-lowest - 1).bit_length() + 1, 2)


def _lifted(entry: Entry, fraction: int, name: str) -> int:
    """Return a factor of an update whose sum has `fraction` fraction bits."""
    return entry.scalars[name] << (fraction - entry.scalars["fraction"])


def momentum_config(
    entries: Sequence[Entry], drawing: dict[str, Any]
) -> golden.MomentumUpdateConfig:
    """Return a unit for some updates, with one binary point for all of them.

    Parameters
    ----------
    entries
        Updates of equal formats and rounding. Layers may have different factors.
    drawing
        Lanes and generator.

    Returns
    -------
    golden.MomentumUpdateConfig
        A unit with factors as wide as needed, and without those that are always 0.
    """
    operation = entries[0].operation
    assert isinstance(operation, FixedPointUpdate)
    point = max(entry.scalars["fraction"] for entry in entries)
    rates, velocities, decays = (
        [_lifted(entry, point, name) for entry in entries]
        for name in ("gradient", "velocity", "weight")
    )

    def format_of(factors: list[int]) -> tuple[int, int]:
        """Return bits and fraction bits of factors of words."""
        together = int(np.bitwise_or.reduce(np.array(factors, object)))
        shared = (together & -together).bit_length() - 1 if together else 0
        return together.bit_length() - shared, point - operation.target.fl - shared

    power = all(rate.bit_count() == 1 for rate in rates)
    momentum_bits, momentum_fraction = format_of(velocities)
    decay_bits, decay_fraction = format_of(decays)
    if "last" in entries[0].tensors:  # updates are stored, even if the momentum is rounded to 0
        momentum_bits = max(momentum_bits, 1)
    fraction = min(point, 2 * operation.target.fl)
    return golden.MomentumUpdateConfig(
        width=bits_of([entry.tensors["gradient"] for entry in entries]),
        fraction=fraction,
        word=operation.target,
        rounding=operation.rounding,
        rate_bits=max(rates).bit_length(),
        rate_fraction=point - fraction,
        power=power,
        momentum_bits=momentum_bits,
        momentum_fraction=momentum_fraction,
        decay_bits=decay_bits,
        decay_fraction=decay_fraction,
        **drawing,
    )


def momentum_factors(config: golden.MomentumUpdateConfig, entry: Entry) -> dict[str, Codes]:
    """Return the values of the factors' ports for every vector of an update.

    The last row, the biases, has no decay.

    Returns
    -------
    dict
        Port name to values, (vectors,).
    """
    order, point = entry.operation.order, config.sum_fraction
    assert isinstance(order, VectorOrder)
    rows, columns = entry.tensors["weight"].shape
    row = order.vectors(np.repeat(np.arange(rows)[:, None], columns, axis=1))[:, 0]
    rate = _lifted(entry, point, "gradient") >> config.rate_shift
    factors = {"rate": rate.bit_length() - 1 if config.power else rate}
    found = {name: np.full(len(row), value, np.int64) for name, value in factors.items()}
    if config.momentum_bits:
        momentum = _lifted(entry, point, "velocity") >> config.momentum_shift
        found["momentum"] = np.full(len(row), momentum, np.int64)
    if config.decay_bits:
        decay = _lifted(entry, point, "weight") >> config.decay_shift
        found["decay"] = np.where(row < rows - 1, decay, 0).astype(np.int64)
    return found


def of_grid_update(operation: Operation) -> bool:
    """Return whether an operation is an update for the unit `grid-update`, or a quantization of
    buffers. It makes the steps too: a `FineStep` has no operand of its own.
    """
    return isinstance(operation, GridUpdate | GridWeight | FineUpdate)


def of_biases(operation: Operation) -> bool:
    """Return whether an operation updates biases, which have no grid."""
    return isinstance(operation, FineUpdate) and operation.reads[0].kind is Kind.BIAS


def with_gradient(entry: Entry, record: Record) -> Entry:
    """Return an operation of `of_grid_update` with the gradient, the scalars and the order of its
    step. A quantization of buffers has no step: its gradient is 0.
    """
    operation: Operation
    if isinstance(entry.operation, GridWeight):
        operation, scalars = entry.operation, {"number": 0, "fraction": 0}
        gradient = np.zeros_like(entry.tensors["buffer"])
    else:
        step = next(
            other
            for other in record
            if isinstance(other.operation, FineStep)
            and other.operation.writes[1] == entry.operation.reads[1]
        )
        operation = replace(entry.operation, order=step.operation.order)
        gradient, scalars = step.tensors["gradient"], dict(step.scalars)
    tensors = {**entry.tensors, "gradient": gradient}
    return replace(entry, operation=operation, tensors=tensors, scalars=scalars)


def grid_config(
    entries: Sequence[Entry], recipe: LiRecipe, drawing: dict[str, Any]
) -> golden.GridUpdateConfig:
    """Return a unit for operations of `of_grid_update`, with a rate and shifts as wide as needed.

    Parameters
    ----------
    entries
        Operations of one kind, `with_gradient`: all of them on weights, or all on biases.
    recipe
        The recipe, which has the formats and the grid.
    drawing
        Lanes and generator.
    """
    rates, shifts = zip(*(_rate(entry, recipe.formats.fine) for entry in entries))
    plain = max(rates) <= 1
    operation, grid = entries[0].operation, not of_biases(entries[0].operation)
    drawn = recipe.binarize == Binarize.STOCHASTIC and isinstance(operation, GridWeight)
    return golden.GridUpdateConfig(
        rule=GridRule(recipe.update) if grid else GridRule.FINE,
        width=bits_of([entry.tensors["gradient"] for entry in entries]),
        rate_bits=0 if plain else max(rates).bit_length(),
        most_shift=max(1, *shifts),
        fine=recipe.formats.fine,
        grid=recipe.grid_fl if grid else 0,
        binary=recipe.binary and grid,
        drawn=drawn,
        **drawing,
    )


def grid_factors(config: golden.GridUpdateConfig, entry: Entry) -> dict[str, int]:
    """Return the values of the ports `rate` and `shift`."""
    rate, shift = _rate(entry, config.fine)
    return {"shift": shift} | ({"rate": rate} if config.rate_bits else {})


def _rate(entry: Entry, fine: Fixed) -> tuple[int, int]:
    """Return the rate of a step and the bits that it drops, without common powers of two."""
    number, shift = entry.scalars["number"], entry.scalars["fraction"] - fine.fl
    if not number:
        return 0, 0
    if shift < 0:  # bits are appended, to the rate
        return number << -shift, 0
    shared = min((number & -number).bit_length() - 1, shift)
    return number >> shared, shift - shared
