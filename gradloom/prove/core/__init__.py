"""Specifications of the training core's parts."""
