"""What trainers of several systems share, from the base class of all of them on."""
