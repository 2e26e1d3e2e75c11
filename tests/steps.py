"""The steps download and split with their options as plain arguments, as tests like to write them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.downloaded import BinsManifest
from components.download import step as download
from components.settings.data import DataSettings
from components.settings.split import SplitSettings
from components.split import step as split


def data(source: str | Path = "rendered", counts: str = "1-5", **options: Any) -> DataSettings:
    """The bins of a source, without further counts for training unless they are asked for."""
    return DataSettings.read({"source": str(source), "counts": counts, "extra_counts": "", **options})


def download_bins(
    store: Store, *values: Any, environment: Mapping[str, str] = os.environ, **options: Any
) -> BinsManifest:
    return download.download_bins(store, data(*values, **options), environment)


def split_bins(
    store: Store, bins: BinsManifest, ratios: str = "90/5/5", method: str = "products", seed: int = 0, **rest: Any
) -> DatasetManifest:
    asked = SplitSettings.read({"split": ratios, "split_method": method, "split_seed": seed})
    return split.split_bins(store, bins, asked, **rest)
