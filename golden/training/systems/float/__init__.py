"""Training in float32, the baseline of the papers."""
