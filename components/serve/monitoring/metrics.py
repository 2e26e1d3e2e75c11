"""What Prometheus reads at ``/metrics``; preprocess and predict times per request come from KServe itself."""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from components.counter.answers import Answer

TENTHS = [tenth / 10 for tenth in range(1, 11)]

REQUESTS = Counter("bin_counter_requests", "Prediction requests by protocol and HTTP status", ["protocol", "status"])
LATENCY = Histogram(
    "bin_counter_request_seconds",
    "Time from a prediction request's headers to its answer",
    ["protocol"],
    buckets=(0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10),
)
BATCH_SIZE = Histogram("bin_counter_batch_size", "Photos in one run of the network", buckets=(1, 2, 3, 4, 6, 8, 16, 32))
PHOTOS_AT_WORK = Gauge("bin_counter_photos_at_work", "Photos being decoded, queued or counted")
COUNTS = Counter("bin_counter_predicted_count", "Photos by the count that was answered", ["count"])
CONFIDENCE = Histogram("bin_counter_confidence", "Calibrated confidence of the answered count", buckets=TENTHS)
BRIGHTNESS = Histogram("bin_counter_brightness", "Mean brightness of the photos, 0 to 1", buckets=TENTHS)
UNUSABLE = Counter("bin_counter_unusable_photos", "Photos on which nothing can be counted, by reason", ["reason"])
VERDICTS = Counter("bin_counter_verdicts", "Photos sent with an expected quantity, by verdict", ["verdict"])
DRIFT_PSI = Gauge("bin_counter_drift_psi", "Population stability index of the last photos, by measure", ["measure"])
DRIFT_STATE = Gauge("bin_counter_drift_state", "0 stable, 1 changed, 2 retrain, by measure", ["measure"])
DRIFT_PHOTOS = Gauge("bin_counter_drift_photos", "Photos in the window that is compared with the bundle's reference")
SHADOW_COMPARED = Counter("bin_counter_shadow_compared", "Photos that the shadow has counted too")
SHADOW_DISAGREEMENTS = Counter(
    "bin_counter_shadow_disagreements", "Photos by the count in service and another of the shadow", ["served", "shadow"]
)
SHADOW_DIFFERENCE = Counter(
    "bin_counter_shadow_difference", "Sum of the absolute differences of the expected numbers of items"
)
SHADOW_DROPPED = Counter("bin_counter_shadow_dropped", "Photos that the shadow had no time or no memory for")
SHADOW_ERRORS = Counter("bin_counter_shadow_errors", "Photos on which the shadow failed")
SHADOW_MODEL = Gauge(
    "bin_counter_shadow_info", "The shadow's model: 1 while it compares, 0 when it failed", ["version"]
)
MODEL = Gauge("bin_counter_model_info", "The model in service", ["name", "version", "backbone", "engine"])


def record_answers(answers: Sequence[Answer]) -> None:
    """Counts the answers of one request."""
    for answer in answers:
        if answer.unusable:
            UNUSABLE.labels(answer.unusable).inc()
        else:
            COUNTS.labels(answer.label).inc()
            CONFIDENCE.observe(answer.confidence)
        BRIGHTNESS.observe(answer.brightness)
        if answer.verdict is not None:
            VERDICTS.labels(answer.verdict).inc()
