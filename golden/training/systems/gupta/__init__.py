"""16-bit fixed point with stochastic rounding (Gupta et al. 2015)."""
