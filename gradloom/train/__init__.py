"""Trainings from the command line: data, sweeps, plots, replays on hardware, the demonstration."""
