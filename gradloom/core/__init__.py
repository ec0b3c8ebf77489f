"""The training core in a simulation: what it writes, beside the golden trainer's step."""
