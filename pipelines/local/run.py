"""Executes the pipeline on this machine and gathers what it made into one folder."""

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from components.client.query import query
from components.common.errors import InventoryError
from components.common.files import write_atomic, write_json
from components.common.parent_process import LOCK_FILE, RUN_FOLDER_VARIABLE, try_lock
from components.common.progress import PROGRESS_VARIABLE
from components.common.provenance import commit, versions
from components.common.retry import wait_for
from components.common.step.run_step import RUN_ID_VARIABLE
from components.common.store import Store, open_store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest, open_split
from components.counter.signing.keys import public_key
from components.counter.signing.stored import fetch as fetch_signed
from components.deploy.deployer import Candidate
from components.deploy.local import LocalDeployer
from components.documents.deployed import DeployedModel
from components.documents.evaluated import EvaluatedModel, Evaluation
from components.documents.gated import GatedModel
from components.documents.run_result import Query, RunResult
from components.pages.page import with_pages
from components.tracking.local_run import mlflow_run
from pipelines.local.arguments import check_here, check_with_store, continued
from pipelines.local.object_store import store_environment
from pipelines.local.progress_view import View

RESULT_FILE = "result.json"
VERSIONS = ("kfp", "kserve", "minio", "numpy", "onnxruntime", "pyarrow", "timm", "torch", "torchvision")


def run(arguments: dict[str, Any], run_id: str | None, runs: Path, console: Console, keep_serving: bool) -> Path:
    """Runs the pipeline here, shows its progress and writes ``result.json``, ``report.html`` and the model bundle.

    Args:
        arguments: the pipeline's; a run that is continued takes over those it was started with.
        run_id: names a new run or one to continue; None makes a new name.
        runs: the folder of all runs; the embedded object store lives in it as well.
        console: where progress and results are shown.
        keep_serving: serve the model until Ctrl-C instead of ending after the first query.

    Returns:
        The run's folder.

    Raises:
        InventoryError: if an argument is refused, ``runs`` cannot be written to, or a step fails; then the message is
            the step's own line.
    """
    run_id = run_id or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"  # sorts by time
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", run_id):
        raise InventoryError(f"'{run_id}' is not a run id: use at most 63 lower-case letters, digits and hyphens")
    folder = (runs / run_id).resolve()
    remembered = folder / "arguments.json"
    arguments = continued(remembered, arguments)
    chosen = check_here(arguments)
    is_new = not folder.exists()
    with _opened(folder, runs) as store_variables:
        console.print(f"run [bold]{run_id}[/bold] in {_short(folder)}", highlight=False)
        os.environ.update(
            {
                **store_variables,
                RUN_FOLDER_VARIABLE: str(folder),
                RUN_ID_VARIABLE: run_id,
                PROGRESS_VARIABLE: str(folder / "progress.jsonl"),
            }
        )
        try:
            check_with_store(chosen, open_store())
        except InventoryError:
            if is_new:  # there is nothing yet to go on with
                shutil.rmtree(folder)
            raise
        write_json(remembered, arguments)  # not before: what is refused must not come back with the next attempt
        started = time.time()
        view = View(console)
        with mlflow_run(folder, chosen, lambda line: console.print(line, highlight=False)):
            try:
                with view.following(folder / "progress.jsonl"):
                    _execute(arguments, folder)
            except RuntimeError as error:
                defect = f"a step failed in a way it did not foresee; its output ends {_short(folder / 'run.log')}"
                raise InventoryError((view.error or defect).removeprefix("error: ")) from error
            store = open_store()
            result = _gather(store, view, folder, arguments, time.time() - started)
        _show(result.test, folder, console)
        url = _service(store, result, folder, console)
        if url:
            dataset = DatasetManifest.of(view.outcomes["split"], "what the step split left")
            asked = _ask(store, dataset, url, folder, console)
            result.model_copy(update={"query": asked}).write(folder / RESULT_FILE)
        if keep_serving and url:
            console.print(f"serving at {url} until Ctrl-C", highlight=False)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
    return folder


@contextlib.contextmanager
def _opened(folder: Path, runs: Path) -> Iterator[dict[str, str]]:
    """Makes and locks the run's folder and keeps the store running; yields the variables that name the store."""
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_run_lock(folder))
            variables = stack.enter_context(store_environment(runs))
        except OSError as error:
            raise InventoryError(
                f"cannot write to {error.filename or runs}: {error.strerror}; choose another folder with --runs"
            ) from error
        yield variables


@contextlib.contextmanager
def _run_lock(folder: Path) -> Iterator[None]:
    """One process works on a run at a time; everything that the run starts ends when the lock is released."""
    with (folder / LOCK_FILE).open("w") as lock:
        # what an earlier, killed attempt left behind is just ending
        if not wait_for(lambda: try_lock(lock, fcntl.LOCK_EX), seconds=5, pause=0.1):
            raise InventoryError(
                f"run {folder.name} is in progress in another process; wait for it or choose another --run-id"
            )
        yield


def _execute(arguments: dict[str, Any], folder: Path) -> None:
    """Runs the pipeline object with ``kfp.local``; what the steps print goes to ``run.log``.

    Raises:
        RuntimeError: if a step failed.
    """
    from kfp import local

    from pipelines.inventory import inventory

    logging.getLogger("kfp").setLevel(logging.WARNING)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"))
    with (
        (folder / "run.log").open("a", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            inventory(**arguments)
        finally:
            _end_children()


def _end_children() -> None:
    """Ends a step that is still running because the run was interrupted."""
    children = psutil.Process().children(recursive=True)
    mine = [child for child in children if "executor_main" in " ".join(_command(child))]
    for child in mine:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(mine, timeout=5)
    for child in alive:
        child.kill()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _gather(store: Store, view: View, folder: Path, arguments: dict[str, Any], seconds: float) -> RunResult:
    """Copies the report and the bundle out of the store and writes ``result.json``."""
    outcomes = view.outcomes
    evaluated = EvaluatedModel.of(outcomes["evaluate"], "what the step evaluate left")
    gated = GatedModel.of(outcomes["gate"], "what the step gate left")
    bundles.fetch(store, evaluated.bundle_key, folder / "model")
    _write_pages(store, folder, evaluated, gated, outcomes)
    deployed = outcomes.get("deploy")
    result = RunResult(
        run_id=folder.name,
        arguments=arguments,
        test=evaluated.evaluation,
        validation=evaluated.validation,
        model_uri=evaluated.uri,
        dataset_id=evaluated.dataset_id,
        rules=evaluated.rules or [],
        cost=evaluated.cost,
        gate=gated,
        service=DeployedModel.of(deployed, "what the step deploy left") if deployed else None,
        seconds={**view.seconds, "total": round(seconds, 1)},
        versions=versions(VERSIONS),
        git_commit=commit(),
    )
    result.write(folder / RESULT_FILE)
    return result


def _write_pages(
    store: Store, folder: Path, evaluated: EvaluatedModel, gated: GatedModel, outcomes: dict[str, Any]
) -> None:
    """Copies the pages, each with links to the others and the gate's decision, which is younger than most of them."""
    pages = {
        "report.html": (evaluated.report_key, "How well the model counts"),
        "explore.html": (outcomes["explore"]["page_key"], "The data"),
        "profile.html": (evaluated.profile.page_key if evaluated.profile else None, "Where the time went"),
        "tune.html": (outcomes.get("tune", {}).get("report_key"), "The search"),
        "gate.html": (gated.page_key, f"The gate: {gated.decision.summary}"),
    }
    there = {name: (key, title) for name, (key, title) in pages.items() if key}
    for name, (key, _) in there.items():
        others = {other: title for other, (_, title) in there.items() if other != name}
        write_atomic(folder / name, with_pages(store.get_bytes(key).decode(), others).encode())


def _show(test: Evaluation, folder: Path, console: Console) -> None:
    table = Table(title=f"Accuracy on {test.n} test bins", title_justify="left")
    for column in ("exact", "within one", "MAE", "RMSE"):
        table.add_column(column, justify="right")
    table.add_row(f"{test.accuracy:.1%}", f"{test.within_one:.1%}", f"{test.mae:.3f}", f"{test.rmse:.3f}")
    console.print(table)
    console.print(f"report: {_short(folder / 'report.html')}\nmodel:  {_short(folder / 'model')}", highlight=False)


def _service(store: Store, result: RunResult, folder: Path, console: Console) -> str | None:
    """The address of the model in service: the new one, or, when the gate refused it, the one before it."""
    if result.service:
        return result.service.url
    console.print(f"not deployed: {result.gate.decision.summary}; see {_short(folder / 'gate.html')}", highlight=False)
    before = result.gate.in_service
    if before is None or not store.exists(f"{before}/{bundles.BUNDLE_FILE}"):
        console.print(f"to serve it anyway: inventory serve {_short(folder / 'model')}", highlight=False)
        return None
    bundle = fetch_signed(store, before, folder / "in-service", public_key())
    console.print(f"model {bundle.version} stays in service", highlight=False)
    deployer = LocalDeployer(folder)
    return deployer.promote(deployer.start(Candidate(bundle, folder / "in-service", store.uri(before))))


def _ask(store: Store, dataset: DatasetManifest, url: str, folder: Path, console: Console) -> Query:
    """Sends one test photo to the service over HTTP, as ``inventory query`` does."""
    bins = open_split(store, dataset, "test")
    photo = folder / "sample.jpg"
    photo.write_bytes(bins.image(0))
    expected = bins.table.column("expected_quantity")[0].as_py()
    answer = query(url, photo.read_bytes(), expected_quantity=expected)
    console.print(
        f"query:  bin {bins.ids[0]} holds {expected}; {url} answers {answer.label} "
        f"({answer.confidence:.0%} sure): {answer.verdict}",
        highlight=False,
    )
    return Query(bin=bins.ids[0], url=url, answer=answer)


def _short(path: Path) -> str:
    """The path as a person would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
