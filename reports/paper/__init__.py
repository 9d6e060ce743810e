"""How a figure looks on paper: style, text, drawing helpers."""
