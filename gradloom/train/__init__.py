"""Training from the command line: data sets, sweeps, plots, replay on hardware, demonstration."""
