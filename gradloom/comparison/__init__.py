"""A unit against its twin: simulated, recorded as a waveform, or in cocotb."""
