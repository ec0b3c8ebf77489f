"""The line between a board and a host."""
