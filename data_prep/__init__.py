"""From raw files, or none, to packed data sets: ``mmspec prepare images``, ``audio``, ``drawn_digits`` and others."""
