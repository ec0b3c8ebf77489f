"""Payloads of a unit's streams, without the unit.

A design that connects streams, or that has a stream of its own, needs the shape of a payload before
there is a component.
"""

from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

from golden import check


def payload(config: Any, stream: str) -> data.StructLayout:
    """Return the layout of a stream's payload, as the ports of a configuration describe it.

    Parameters
    ----------
    config
        Configuration of any unit.
    stream
        Name of the stream: "i" or "o".

    Raises
    ------
    TypeError
        The argument is not a unit's configuration.
    ValueError
        The unit has no stream of that name.

    Examples
    --------
    >>> from golden import RounderConfig
    >>> print(payload(RounderConfig(width=20, lanes=4), "i"))
    StructLayout({'data': ArrayLayout(signed(20), 4)})
    """
    if isinstance(config, type) or not hasattr(config, "ports"):
        raise TypeError(f"config = {check.shown(config)}: a unit's configuration is wanted")
    prefix = f"{stream}_"
    ports = {port.name: port for port in config.ports}
    if f"{prefix}valid" not in ports:
        found = [name.removesuffix("_valid") for name in ports if name.endswith("_valid")]
        raise ValueError(f"no stream is called {stream}; there are {', '.join(found) or 'none'}")
    fields: dict[str, Any] = {}
    for name, port in ports.items():
        key = name.removeprefix(prefix)
        if name.startswith(prefix) and key not in ("valid", "ready"):
            shape = Shape(port.width, port.signed)
            fields[key] = shape if port.lanes is None else data.ArrayLayout(shape, port.lanes)
    return data.StructLayout(fields)
