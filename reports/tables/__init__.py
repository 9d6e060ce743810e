"""Tables of a report, made from records: as LaTeX, Markdown, CSV, and on the page."""
