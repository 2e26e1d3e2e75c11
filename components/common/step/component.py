"""``dsl.component`` with the image of each kind of step, and nothing installed when the step runs.

Not for code that runs inside a step: there KFP offers only a part of ``kfp.dsl``.
"""

import functools
import warnings

from kfp import dsl

from components.common.step.container_images import image

# kfp.local warns that an image without "python" in its name may lack Python; ours are made for it.
warnings.filterwarnings("ignore", message="You may be attemping to run a task that uses custom or non-Python")

_component = functools.partial(dsl.component, packages_to_install=[], install_kfp_package=False)
control_component = functools.partial(_component, base_image=image("control"))
"""For steps that move data or drive the cluster."""
train_component = functools.partial(_component, base_image=image("train"))
"""For steps that need torch."""
