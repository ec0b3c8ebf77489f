"""A training step as a list of operations: their classes, plans and records."""
