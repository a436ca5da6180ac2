"""Denoisers as graphs: written with torch, run without it."""
