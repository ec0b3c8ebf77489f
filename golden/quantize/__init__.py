"""Quantizers of words: thresholds of whole sums (HWGQ)."""
