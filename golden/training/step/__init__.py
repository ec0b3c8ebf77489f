"""A training step as a list of operations: what they are, their plan, their record."""
