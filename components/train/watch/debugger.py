"""The hook that looks at a training every few steps and asks the debugger rules about it."""

from collections.abc import Callable
from typing import Any, cast

import torch

from components.common.progress import note
from components.counter.training_log import EpochRecord
from components.documents.trained import FIRED, RuleVerdict, Status
from components.rules.observations import Look, Observations, Utilisation, add_look
from components.rules.rule import Rule
from components.rules.rules import Rules
from components.settings.training import TrainingSettings
from components.train.engine.hooks import Findings, Hook, StepReport
from components.train.watch.measure import ReluWatch, alike_weights, measure_gradients


class Debugger(Hook):
    """Evaluates the rules; a hook of the leading worker.

    Gradients are looked at after workers have exchanged them, so that they are those of all workers; losses,
    activations and times are this worker's. Nothing is changed in the network, and no random number is drawn. Looks
    are taken at the first step and at every ``rule_steps``-th; a rule that fired stays so.

    Looks and findings are remembered over an interruption in ``memory``, which a checkpoint keeps; ``utilisation`` has
    the recorded samples of this worker's GPU, none without one.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        classes: int,
        memory: dict[str, Any],
        utilisation: Callable[[], Utilisation] = tuple,
    ) -> None:
        self.rules, self.every, self.memory = Rules(**settings.rules), settings.rule_steps, memory
        self.classes, self.utilisation = classes, utilisation
        self.unseen_relus = "a compiled network shows no activations" if settings.compile else ""
        if settings.trainable == "head":
            self.unseen_relus = "the backbone is frozen"
        self._trained: list[tuple[str, torch.nn.Parameter]] = []
        self._relus = ReluWatch()
        self._look: Look = {}
        self._start()

    def _start(self) -> None:
        """Begins what the next look stands for."""
        self._loss: torch.Tensor | None = None
        self._since: dict[str, float] = {"steps": 0, "seconds": 0.0, "data_seconds": 0.0}

    # asked each time, since a checkpoint that is read later fills ``memory``

    @property
    def _looks(self) -> list[Look]:
        return cast(list[Look], self.memory.setdefault("looks", []))

    @property
    def _epochs(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], self.memory.setdefault("epochs", []))

    @property
    def _findings(self) -> dict[str, dict[str, Any]]:
        """Of the rules that fired."""
        return cast(dict[str, dict[str, Any]], self.memory.setdefault("findings", {}))

    def _is_look(self, step: int) -> bool:
        return step == 1 or step % self.every == 0

    def before_step(self, step: int, network: torch.nn.Module) -> None:
        """Looks at gradients and weights, and ends the look at activations."""
        if not self._is_look(step):
            return
        if not self._trained:
            self._trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
        gradients, norm = measure_gradients(self._trained)
        self._look = {"gradients": gradients, "norm": norm}
        if len(self._looks) < self.rules.poor_weight_initialization.looks:
            self._look["alike"] = alike_weights(self._trained)
        if inactive := self._relus.end():
            self._look["inactive"] = inactive

    def on_step(self, report: StepReport, network: torch.nn.Module) -> None:
        """Adds up losses and times, judges at a look, and begins to look at activations for the next one."""
        loss = report.loss.detach()
        self._loss = loss if self._loss is None else self._loss + loss
        self._since["steps"] += 1
        self._since["seconds"] += sum(report.seconds.values())
        self._since["data_seconds"] += report.seconds.get("data", 0.0)
        self.memory["at"] = [report.step, report.epoch]
        if self._is_look(report.step):
            mean = float(self._loss) / self._since["steps"]
            look = {"step": report.step, "epoch": report.epoch, "loss": mean, **self._since, **self._look}
            add_look(self._looks, look)
            self._start()
            self._judge()
        if self._is_look(report.step + 1) and not self.unseen_relus and not self._relus.begin(network):
            self.unseen_relus = "the network has no ReLU"

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Judges with the epoch's losses."""
        losses = record.model_dump(include={"epoch", "train_loss", "validation_loss"})
        self._epochs.append({"step": self.memory["at"][0], **losses})
        self._judge()

    def _seen(self) -> Observations:
        return Observations(self._looks, self._epochs, self.classes, self.unseen_relus, self.utilisation)

    def _judge(self) -> None:
        seen = self._seen()
        step, epoch = self.memory["at"]
        for name, rule in self.rules:
            if name in self._findings:
                continue
            sick, evidence = rule.judge(seen)
            if sick:
                self._findings[name] = {"evidence": evidence, "step": step, "epoch": epoch}
                then = "the training ends" if rule.action == "stop" else "the training goes on"
                note(f"rule {name} fired at step {step}, epoch {epoch}: {evidence}; {then}")

    def want_stop(self) -> str | None:
        """The first rule that fired and whose action is to stop."""
        for name, rule in self.rules:
            if name in self._findings and rule.action == "stop":
                return f"rule {name}: {self._findings[name]['evidence']}"
        return None

    def summary(self) -> Findings:
        """The outcome's ``rules``: one row each."""
        if "at" in self.memory:
            self._judge()
        return {"rules": [self._verdict(name, rule) for name, rule in self.rules]}

    def _verdict(self, name: str, rule: Rule) -> RuleVerdict:
        if found := self._findings.get(name):
            return RuleVerdict(rule=name, action=rule.action, status=FIRED, **found)
        sick, evidence = rule.judge(self._seen())
        status: Status = "not evaluated" if sick is None else "silent"
        return RuleVerdict(rule=name, action=rule.action, status=status, evidence=evidence, step=None, epoch=None)

    def close(self) -> None:
        """Leaves no hook in the network."""
        self._relus.end()
