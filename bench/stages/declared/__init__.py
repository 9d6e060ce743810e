"""Our stages: a module declares the `Stage` of its name, and says how much work it is."""
