"""Trainings that leave a folder behind: epochs, scores, checkpoints, the order of samples."""
