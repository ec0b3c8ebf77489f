"""Integers of 2 bits for weights and 8 bits for everything else (WAGE, Wu et al. 2018)."""
