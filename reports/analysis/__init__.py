"""What records come to: groups, systems, comparisons."""
