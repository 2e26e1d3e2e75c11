"""The counter's rooms. The project's version stands here alone: the package, the images and the manifests follow it."""

import os
import sys

__version__ = "0.1.0"

if os.environ.get("INVENTORY_CODE"):
    # a working tree on published images: from here on its modules are imported, see components/common/step/code.py
    from components.common.errors import InventoryError
    from components.common.step.code import take_code

    try:
        __path__ = [str(take_code(os.environ["INVENTORY_CODE"]))]
    except InventoryError as error:
        sys.exit(f"error: {error}")
    for _name in [name for name in sys.modules if name.startswith("components.")]:
        del sys.modules[_name]
