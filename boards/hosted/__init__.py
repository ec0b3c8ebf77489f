"""A core that a computer drives over a serial line: commands, gates, the whole design."""
