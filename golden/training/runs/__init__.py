"""Runs of trainings: folders of results, checkpoints, scores, the order of samples."""
