"""Measures of how far generated signals are from real ones: sets are summarised once, then compared."""
