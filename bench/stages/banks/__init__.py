"""The parts of building a bank: which images, what is measured of them, and the checks."""
