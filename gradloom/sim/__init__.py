"""Simulation of a design among what surrounds it."""

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
