"""Binary weights and half-wave Gaussian quantizers (HWGQ, Cai et al. 2017)."""
