"""Networks and the arithmetic of their layers on whole tensors."""
