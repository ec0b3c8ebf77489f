"""Simulation: stimulus, two simulators behind one interface, and environments of a design."""

from gradloom.sim.environment import (
    Host,
    Memory,
    Part,
    Poll,
    Read,
    Sink,
    Source,
    Wait,
    Watch,
    Write,
    pauses,
)
from gradloom.sim.play import Environment, EnvironmentState, Played

__all__ = [
    "Environment",
    "EnvironmentState",
    "Host",
    "Memory",
    "Part",
    "Played",
    "Poll",
    "Read",
    "Sink",
    "Source",
    "Wait",
    "Watch",
    "Write",
    "pauses",
]
