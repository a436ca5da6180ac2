"""How results are shown: plots in one style, the frame of all pages, pictures, tables to read."""
