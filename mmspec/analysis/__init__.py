"""The figures of "Diffusion Probabilistic Model Made Slim": what is measured, and how it is drawn."""
