"""Boards seen from a computer: what they say beside what golden says, and boards in a simulator."""
