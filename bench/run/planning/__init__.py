"""What a suite would compute, in which order, and at what cost."""
