"""Specifications of WAGE's units."""
