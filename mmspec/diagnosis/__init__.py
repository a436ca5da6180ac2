"""What is wrong with a model's spectra, what to do about it, and whether it helped."""
