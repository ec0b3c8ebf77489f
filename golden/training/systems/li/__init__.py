"""Weights on a coarse grid (Li et al. 2017), and binary activations (BNN)."""
