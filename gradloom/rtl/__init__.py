"""Verilog: modules of a component, their tidied text, and the package around it."""
