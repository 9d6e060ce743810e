"""Appearance of figures on paper: style, text, drawing helpers."""
