"""How fast decoding and generation are."""
