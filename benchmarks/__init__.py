"""Measured ratios against peers, one file a question: `python -m benchmarks [NAME ...]`, alone on the machine."""
