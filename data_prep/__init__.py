"""From raw files to packed data sets: ``mmspec prepare images``, ``audio``, ``photographs``, ``spoken_digits``."""
