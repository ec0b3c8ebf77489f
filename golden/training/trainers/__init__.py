"""Base classes of the trainers."""
