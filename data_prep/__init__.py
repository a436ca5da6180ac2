"""From raw files to packed data sets: ``python -m data_prep.images``, ``audio``, ``photographs``, ``spoken_digits``."""
