"""Whole documents for tests that care about a part of one."""

from typing import Any

from components.counter.answers import Answer
from components.counter.training_log import EpochRecord
from components.documents.evaluated import EvaluatedModel, Evaluation
from components.documents.reconciled import Reconciliation
from components.documents.trained import RuleVerdict, TrainedModel
from components.settings.training import TrainingSettings


def epoch(number: int, **changes: float) -> EpochRecord:
    """One epoch; the loss falls and the accuracy rises with its number."""
    metrics = {
        **{"train_loss": 1.6 / number, "train_accuracy": 0.2 * number},
        **{"validation_loss": 1.6 / number, "validation_accuracy": 0.2 * number, "validation_within_one": 0.9},
        **{"validation_mae": 0.5, "validation_rmse": 1.0, "learning_rate": 0.001, "seconds": 1.5},
    }
    return EpochRecord.model_validate({"epoch": number, **metrics, **changes})


def trained(bundle_key: str = "runs/run-1/model", **changes: Any) -> TrainedModel:
    """A training of three epochs."""
    content = {
        "run_id": "run-1",
        "bundle_key": bundle_key,
        "uri": f"s3://inventory/{bundle_key}",
        "dataset_id": "0" * 64,
        "validation": {"loss": 1.2, "accuracy": 0.6, "within_one": 0.9, "mae": 0.5, "rmse": 1.0},
        "history": [epoch(number) for number in (1, 2, 3)],
        "settings": TrainingSettings(epochs=3),
        "seconds": 1.5,
    }
    return TrainedModel.model_validate({**content, **changes})


def rule(name: str, status: str = "silent", evidence: str = "", **changes: Any) -> RuleVerdict:
    """What a rule found."""
    content = {"rule": name, "status": status, "action": "warn", "evidence": evidence, "step": None, "epoch": None}
    return RuleVerdict.model_validate({**content, **changes})


def answered(**changes: Any) -> Answer:
    """An answer of a model that tells 1 from 2."""
    content = {"count": 2, "label": "2", "probabilities": {"1": 0.1, "2": 0.9}, "confidence": 0.9}
    return Answer.model_validate({**content, "brightness": 0.5, "model": "m", **changes})


def evaluation(accuracy: float = 0.6, **changes: Any) -> Evaluation:
    """What is said about a model of two counts, on ten bins."""
    count = {"precision": accuracy, "recall": accuracy, "support": 5, "predicted": 5}
    names = ("accuracy", "within_one", "mae", "rmse", "expected_rmse", "loss")
    content = {
        **{"n": 10, "accuracy": accuracy, "within_one": 0.9, "mae": 0.5, "rmse": 1.0, "expected_rmse": 0.9},
        **{"loss": 1.2, "majority": 0.5, "per_count": {"1": count, "2": count}},
        **{"confusion": [[3, 2], [2, 3]], "warnings": [], "intervals": dict.fromkeys(names), "audit": []},
        "calibration": {
            **{"temperature": 1.0, "logit_shift": [0.0, 0.0], "validation_bins": 10, "accuracy_before": accuracy},
            **{"nll_before": 1.3, "nll_after": 1.2, "nll_change": -0.1, "nll_change_interval": None},
            **{"ece_bins": 15, "ece_before": 0.1, "ece_after": 0.05, "ece_if_perfect": {"mean": 0.05, "high": 0.1}},
        },
        "verdict": {
            "missed_cost": 20.0,
            "rows": [
                {
                    **{"wrong_records": 0.05, "corruption": "off_by_one", "recount": 0.9, "unsure": 0.0, "found": 0.99},
                    **{"agrees_right": None, "cost": 0.9, "interval": None, "cost_without_photos": 1.0},
                }
            ],
            "explanation": "It has 90 % of the bins recounted.",
        },
        "auc": {"count <= 1": 0.7},
        "quality": [],
        "leakage": {"known": 10, "shared": 0, "accuracy": [], "methods": []},
        "int8": {
            **{"chosen": False, "agreement": 0.9, "exact_share": 0.3, "bins": 10, "seconds_fp32": 0.01},
            **{"seconds_int8": 0.01, "bytes_fp32": 4, "bytes_int8": 1, "explanation": "It is no faster."},
        },
    }
    return Evaluation.model_validate({**content, **changes})


def evaluated(bundle_key: str = "runs/run-1/model", **changes: Any) -> EvaluatedModel:
    """The training of three epochs, evaluated."""
    model = trained(bundle_key).model_dump(exclude={"format"})
    keys = {"report_key": "runs/run-1/report.html", "evaluation_key": "runs/run-1/evaluation.json"}
    return EvaluatedModel.model_validate({**model, "evaluation": evaluation(), **keys, **changes})


def reconciled(**changes: Any) -> Reconciliation:
    """A hundred bins that could all be compared."""
    content = {
        **{"bins": 100, "not_checked": 0, "verdicts": {}, "models": {"run-1": 100}, "ranked": 100, "not_countable": 0},
        **{"model": "run-1", "counts": [1, 2, 3, 4, 5], "error_rate": 0.1, "error_rate_estimated": True},
        **{"expected_wrong": 10.0, "wrong_interval": (5, 15), "wrong_told": True, "top": 20},
        **{"expected_wrong_in_top": 6.0, "wrong_interval_in_top": (2, 9), "drift": [], "retrain": False},
    }
    return Reconciliation.model_validate({**content, **changes})
