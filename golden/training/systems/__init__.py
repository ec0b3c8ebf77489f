"""The training systems, one room for each: its recipe, its plan of a step, its trainer."""
