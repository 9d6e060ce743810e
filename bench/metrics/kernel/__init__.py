"""The kernel distance of two sets of features: of all, of blocks of many, and its interval."""
