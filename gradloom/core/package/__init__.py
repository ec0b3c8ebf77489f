"""A core as a folder of files for a project."""
