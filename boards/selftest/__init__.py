"""A design that tests itself on a board: stimulus, gateware, verdict, bitstream."""
