"""Records: read, grouped, filtered, tabled."""
