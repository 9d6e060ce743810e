"""Settings that a suite may give."""
