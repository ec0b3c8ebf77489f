"""Verilog: modules of a component as readable text, and a folder of files for a project."""
