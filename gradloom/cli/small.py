"""Options of units with smaller defaults, for work that grows fast with the size."""

from collections.abc import Mapping
from typing import Any

import click

from gradloom.units import Unit


def with_defaults(unit: Unit, values: Mapping[str, Any]) -> tuple[click.Option, ...]:
    """Return the unit's options, with the defaults in `values` by option name."""
    options = []
    for option in unit.options:
        if option.name in values:
            copy = click.Option(
                [*option.opts],
                type=option.type,
                default=values[option.name],
                show_default=True,
                help=option.help,
            )
            options.append(copy)
        else:
            options.append(option)
    return tuple(options)
