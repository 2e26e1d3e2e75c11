"""A train step in a process of its own, so that a test can kill it.

``python -m tests.cluster.stand_ins.step RUN SECONDS KIND``; KIND is PyTorchJob or TrainJob.
"""

import sys

from components.cluster import kube
from components.cluster.jobs.job import KubeJob, job_name
from components.cluster.jobs.pytorchjob import PYTORCHJOB, pytorchjob
from components.cluster.jobs.trainjob import TRAINJOB, trainjob
from components.cluster.owned_object import Timeouts
from components.common.step.run_step import main_step
from components.common.store import open_store
from components.settings.cluster import ClusterSettings

KINDS = {"PyTorchJob": (PYTORCHJOB, pytorchjob), "TrainJob": (TRAINJOB, trainjob)}
QUICK = Timeouts(poll=0.2, removal=20, outcome=1.0, away=20, renew=0.3)


def main(run_id: str, pending_seconds: float, kind: str) -> None:
    store, api = open_store(), kube.connect()
    settings = ClusterSettings(workers=2)
    owners = kube.owner_references(api, "team")
    job_kind, described = KINDS[kind]
    body = described(job_name(run_id), "team", run_id, ["--job", "x"], settings, owners)
    done = f"runs/{run_id}/train/outcome.json"
    KubeJob(api, job_kind, body, 2, pending_seconds, 600, lambda: store.exists(done), QUICK).run(store)
    print("verdict: trained", flush=True)


if __name__ == "__main__":
    main_step(lambda: main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
