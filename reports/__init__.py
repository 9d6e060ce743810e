"""Figures and tables made from stored records; never trains, never decodes."""
