"""The training core: what it is made of, how a step is compiled for it, and what it does when."""
