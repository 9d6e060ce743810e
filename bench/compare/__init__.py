"""Two sides set against each other."""
