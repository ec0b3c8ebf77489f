"""Buses by which a design's registers and streams are reached, as descriptions and twins."""
