"""2-bit weights and 8-bit everything, in integers (WAGE, Wu et al. 2018)."""
