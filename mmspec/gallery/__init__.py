"""The gallery: runs to page through in a browser, read from disk as they are asked for."""
