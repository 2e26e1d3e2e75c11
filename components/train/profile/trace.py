"""A trace of some steps, operator by operator, by torch.profiler."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from components.common.progress import note
from components.common.store import Store
from components.documents.training_profile import Operator, RecordedTrace
from components.train.engine.dispensable import dispensable

WARM_UP_STEPS = 4
"""Steps to take before the trace begins: the first ones choose kernels and fill caches."""
TOP_OPERATORS = 12


class Trace:
    """Traces some steps, once; ``key`` is where the trace goes, gzipped JSON for https://ui.perfetto.dev."""

    def __init__(self, steps: int, key: str, store: Store, device: torch.device) -> None:
        self.steps, self.key, self.store, self.device = steps, key, store, device
        self.result: RecordedTrace | None = None
        self._step = 0
        self._profile: profile | None = None

    def step(self) -> bool:
        """After every step: begins or ends the trace when it is time; says whether the step was part of it."""
        self._step += 1
        if self._step == WARM_UP_STEPS:
            self._begin()
            return True
        if self._profile is None:
            return False
        self._profile.step()
        if self._step == WARM_UP_STEPS + 1 + self.steps:
            self.end()
        return True

    def end(self) -> None:
        """Ends the trace if it is running, and stores what it holds."""
        if self._profile is None:
            return
        running, self._profile = self._profile, None
        traced = self._step - WARM_UP_STEPS - 1
        running.stop()
        if traced <= 0:
            note("the training was too short for a trace")
            return
        with dispensable("the trace was"), tempfile.TemporaryDirectory(prefix="trace-") as folder:
            path = Path(folder) / "trace.json.gz"
            running.export_chrome_trace(str(path))
            self.store.put_file(self.key, path)
            self.result = RecordedTrace(key=self.key, steps=traced, operators=self._operators(running, traced))

    def _begin(self) -> None:
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.device.type == "cuda" else [])]
        # one step warms the profiler itself up and is not in the trace
        only_once = schedule(wait=0, warmup=1, active=self.steps, repeat=1)
        self._profile = profile(activities=activities, schedule=only_once)
        self._profile.start()

    def _operators(self, traced: Any, steps: int) -> list[Operator]:
        on_gpu = self.device.type == "cuda"
        found = []
        for event in traced.key_averages():
            if on_gpu and event.device_type != DeviceType.CPU:
                continue  # the kernels of operators, whose time the operators have too
            seconds = (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
            if seconds > 0 and not event.key.startswith("ProfilerStep"):
                found.append(Operator(name=event.key, calls=event.count / steps, seconds=seconds / steps))
        return sorted(found, key=lambda operator: -operator.seconds)[:TOP_OPERATORS]
