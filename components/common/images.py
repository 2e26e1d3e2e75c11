"""The container images that the steps run in, and the ``dsl.component`` that fixes them.

Images are fixed when the pipeline is compiled: ``INVENTORY_REGISTRY`` and ``INVENTORY_TAG`` (a tag or
``@sha256:…``) are read at import, and ``inventory compile`` sets them from its options.
"""

import functools
import os
import warnings

from kfp import dsl

REGISTRY = os.environ.get("INVENTORY_REGISTRY", "ghcr.io/bin-inventory")
TAG = os.environ.get("INVENTORY_TAG", "0.1.0")

# kfp.local warns that an image without "python" in its name may lack Python; ours are made for it.
warnings.filterwarnings("ignore", message=".*may not have Python.*")
warnings.filterwarnings("ignore", message=".*does not appear to be a Python image.*")


def image(name: str) -> str:
    """The full name of one of our images, such as ``ghcr.io/bin-inventory/train:0.1.0``."""
    return f"{REGISTRY}/{name}{TAG if TAG.startswith('@') else ':' + TAG}"


_component = functools.partial(dsl.component, packages_to_install=[], install_kfp_package=False)
control_component = functools.partial(_component, base_image=image("control"))
"""For steps that move data or drive the cluster."""
train_component = functools.partial(_component, base_image=image("train"))
"""For steps that need torch."""
