"""The environments that are installed from pinned requirements."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
ENVIRONMENTS = {
    **{name: REQUIREMENTS / f"{name}.txt" for name in ("all", "control", "train", "serve")},
    **{
        f"extra-{name}": REQUIREMENTS / "extras" / f"{name}.txt"
        for name in ("client", "control", "mlflow", "openvino", "train")
    },
}
"""A checkout, the three images, and the extras of the wheel that are no image's."""
