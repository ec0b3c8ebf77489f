"""The specifications of WAGE's units."""
