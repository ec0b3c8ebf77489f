"""Comparison of a unit with its twin: simulated, recorded in a waveform file, or in cocotb."""
