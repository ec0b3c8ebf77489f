"""The line between a board and a host, and the text on it."""
