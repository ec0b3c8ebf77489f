"""Buses: how the registers of a design are reached from outside."""
