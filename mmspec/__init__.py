"""mmspec: train, slim and judge diffusion models for images and audio with the tools of signal processing."""

__version__ = "0.1.0"
