"""One self-contained HTML page for a set of runs."""
