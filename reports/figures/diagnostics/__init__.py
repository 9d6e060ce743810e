"""Figures that look inside a tokenizer rather than at its images."""
