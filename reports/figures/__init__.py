"""The figures: a module each, drawn from records."""
