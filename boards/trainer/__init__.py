"""A design that trains a network on a board by itself: samples, core, course, lines of text."""
