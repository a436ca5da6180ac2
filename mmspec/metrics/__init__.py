"""Measures of how far generated signals are from real ones."""
