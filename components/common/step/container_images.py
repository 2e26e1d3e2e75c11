"""The container images that the steps run in.

Images are fixed when the pipeline is compiled: ``INVENTORY_REGISTRY`` and ``INVENTORY_TAG`` (a tag or
``@sha256:…``) are read at import, and ``inventory compile`` sets them from its options.
"""

import os

from components import __version__

REGISTRY = os.environ.get("INVENTORY_REGISTRY", "ghcr.io/bin-inventory")
TAG = os.environ.get("INVENTORY_TAG", __version__)


def image(name: str) -> str:
    """The full name of one of our images, such as ``ghcr.io/bin-inventory/train:1.2.3``."""
    return f"{REGISTRY}/{name}{TAG if TAG.startswith('@') else ':' + TAG}"
