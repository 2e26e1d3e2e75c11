"""The counter's rooms. The project's version stands here alone: the package, the images and the manifests follow it."""

__version__ = "0.1.0"
