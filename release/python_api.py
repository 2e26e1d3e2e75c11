"""The Python API: what people call from their own code, and the table of it in docs/python.md.

``python -m release.python_api`` writes the table again; a test holds it equal to the code, so that whoever changes a
name or an argument sees that somebody may rely on it.
"""

import inspect
import pkgutil
import re
from typing import Any

from release.environments import ROOT

PAGE = ROOT / "docs" / "python.md"
BEGIN, END = "<!-- api: written by `python -m release.python_api` -->\n", "<!-- end -->"

PYTHON_API: dict[str, dict[str, tuple[str, ...]]] = {
    "Where things lie": {
        "components.common.local_store.server": ("local_store",),
        "components.common.store": ("open_store", "Store"),
        "components.common.errors": ("InventoryError",),
    },
    "What a run is asked for": {
        "components.settings.data": ("DataSettings",),
        "components.settings.split": ("SplitSettings",),
        "components.settings.parameters": ("read_parameters",),
    },
    "Bins": {
        "components.sources.rendered.bins": ("rendered_photo", "metadata"),
        "components.download.step": ("download_bins",),
        "components.split.step": ("split_bins",),
        "components.counter.dataset": ("DatasetManifest", "open_split"),
        "components.evaluate.leakage": ("what_splits_would_leak",),
    },
    "A model": {
        "components.train.step": ("train",),
        "components.evaluate.step": ("evaluate",),
        "components.gate.step": ("gate",),
        "components.counter.bundle": ("Bundle", "fetch", "load"),
        "components.registry.registry": ("open_registry", "read_index"),
        "pipelines.local.run": ("run",),
    },
    "Answers": {
        "components.client.endpoint": ("Endpoint", "open_client"),
        "components.client.query": ("query", "ask", "ask_many", "PhotoError"),
        "components.counter.answers": ("Answer", "judged"),
        "components.counter.verdict": ("verdict",),
    },
    "The recount list": {
        "components.reconcile.photos": ("open_photos",),
        "components.reconcile.records": ("open_records",),
        "components.reconcile.settings": ("ReconcileSettings",),
        "components.reconcile.step": ("reconcile",),
        "components.reconcile.feedback": ("labels_from_recounts",),
    },
    "Kubeflow": {
        "pipelines.compiler": ("compile_pipeline",),
        "pipelines.kubeflow.api": ("find_access", "open_client", "submit", "follow"),
    },
}
"""Heading -> module -> names."""


def promised() -> dict[str, Any]:
    """Every promised object by its dotted name."""
    return {
        f"{module}.{name}": pkgutil.resolve_name(f"{module}:{name}")
        for modules in PYTHON_API.values()
        for module, names in modules.items()
        for name in names
    }


def signature(thing: Any) -> str:
    """How a function is called: its arguments by name, with ``=`` behind those that may be left out."""
    if inspect.isclass(thing):
        return thing.__name__
    arguments = [
        argument.name + ("" if argument.default is argument.empty else "=")
        for argument in inspect.signature(thing).parameters.values()
    ]
    return f"{thing.__name__}({', '.join(arguments)})"


def table() -> str:
    """The tables of the page, one for each heading."""
    things = promised()
    parts = []
    for heading, modules in PYTHON_API.items():
        rows = []
        for module, names in modules.items():
            for name in names:
                said = (inspect.getdoc(things[f"{module}.{name}"]) or "").partition("\n")[0].replace("``", "`")
                rows.append(f"| `{module}` | `{signature(things[f'{module}.{name}'])}` | {said} |\n")
        parts.append(f"### {heading}\n\n| from | import | |\n|---|---|---|\n{''.join(rows)}")
    return "\n".join(parts)


def written() -> str:
    """The page as it should be: its own text, with the tables between the marks."""
    pattern = f"{re.escape(BEGIN)}.*?{END}"
    return re.sub(pattern, lambda _: f"{BEGIN}\n{table()}\n{END}", PAGE.read_text(), count=1, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(written())
