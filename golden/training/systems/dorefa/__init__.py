"""Weights, activations and errors of few bits (DoReFa, Zhou et al. 2016)."""
