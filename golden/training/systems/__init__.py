"""The training systems, one package for each: its recipe, the plan of its step, its trainer."""
