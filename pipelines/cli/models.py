"""The commands of ``inventory`` for what was trained: models, promote, rollback, sign, verify, prune and reproduce."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from components.common.errors import InventoryError
from components.counter.signing.keys import PUBLIC_VARIABLE, SIGNING_VARIABLE, public_key, signing_key
from pipelines.cli.parser import number, whole

if TYPE_CHECKING:
    from components.common.store import Store
    from components.counter.bundle import Bundle
    from components.deploy.promote import Change, Cluster
    from components.registry.registry import Registry

FEWEST_KEPT, DAYS = 5, 30.0


def add_commands(commands: Any) -> None:
    """Adds the models' commands to the command line."""
    models = _add(
        commands,
        "models",
        "list, show or compare the registered models",
        "Without a MODEL it lists all, with one it shows it, with several it compares them.",
        _models,
    )
    models.add_argument("models", nargs="*", metavar="MODEL", help="versions")
    models.add_argument("--json", action="store_true", help="print a JSON list")
    promote = _add(
        commands,
        "promote",
        "put a registered model into service without asking the gate",
        "Puts a registered model into service after it has answered labelled bins as it should. The gate is not asked.",
        _promote,
    )
    promote.add_argument("model", metavar="MODEL", help="version")
    promote.add_argument(
        "--shadow",
        metavar="MODEL",
        help="a version that gets copies of the photos and answers nobody, or none [the one that there is]",
    )
    rollback = _add(
        commands,
        "rollback",
        "go back to the model that was in service before",
        "Puts the model that was in service before the present one into service again, after the same smoke test as a "
        "promotion.",
        _rollback,
    )
    for name, command, does, option, variable in (
        ("sign", _sign, "sign a model's files with a private key", "--key", SIGNING_VARIABLE),
        ("verify", _verify, "look whether a model's files are those that were signed", "--public-key", PUBLIC_VARIABLE),
    ):
        about = f"{does[0].upper()}{does[1:]}, by OpenSSF model signing; docs/signing.md says how to make keys."
        parser = _add(commands, name, does, about, command)
        parser.add_argument("model", metavar="MODEL", help="version, or a bundle's folder such as runs/<id>/model")
        parser.add_argument(
            option, dest="key", default="", metavar="FILE", help=f"elliptic-curve key, PEM [{variable}]"
        )
    prune = _add(
        commands,
        "prune",
        "remove old models and what only they need",
        "Removes models that are neither among the newest nor younger than so many days. What is in service, the one "
        "before it, and what others share stays.",
        _prune,
    )
    prune.add_argument(
        "--keep", type=whole(0), default=FEWEST_KEPT, metavar="N", help=f"newest that stay [{FEWEST_KEPT}]"
    )
    prune.add_argument(
        "--older-than", type=number(0), default=DAYS, metavar="DAYS", help=f"younger ones stay [{DAYS:g}]"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    for parser in (promote, rollback, prune):
        parser.add_argument("--namespace", metavar="NAME", help="of the InferenceService; without it, this machine")
        parser.add_argument("--context", metavar="NAME", help="of the kubeconfig [the current one]")
    reproduce = _add(
        commands,
        "reproduce",
        "evaluate a model again from the object store alone and compare",
        "Evaluates a model in a new process that has an empty home and cache, and compares with the recorded numbers. "
        "Exit code 1 if they are not confirmed.",
        _reproduce,
    )
    reproduce.add_argument(
        "model", metavar="MODEL", help="version, or the bundle's folder or s3:// address in the store"
    )
    reproduce.add_argument("--fresh-environment", action="store_true", help="also install the pinned requirements anew")
    reproduce.add_argument("--json", action="store_true", help="print a JSON object")


def _add(commands: Any, name: str, help_text: str, description: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text,
        description=f"{description} The object store is the one that S3_ENDPOINT_URL names, or the embedded one of "
        "--runs; models are registered in it, or in the Model Registry at MODEL_REGISTRY_URL.",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs [runs]")
    parser.add_argument("--name", default="bin-counter", help="name of the service [bin-counter]")
    parser.set_defaults(command=command)
    return parser


@contextmanager
def _registry(options: argparse.Namespace) -> Iterator[tuple["Store", "Registry", dict[str, str]]]:
    from components.registry.registry import open_registry
    from pipelines.local.object_store import existing_store

    with existing_store(options.runs) as (store, environment):
        yield store, open_registry(store, environment), environment


def _cluster(options: argparse.Namespace) -> "Cluster | None":
    from components.cluster import kube
    from components.deploy.promote import Cluster

    if options.namespace is None:
        if options.context is not None:
            raise InventoryError("--context needs --namespace, that of the InferenceService")
        return None
    return Cluster(kube.connect(options.context), options.namespace)


def _print(*things: Any) -> None:
    console = Console(file=sys.stdout)
    for thing in things:
        console.print(thing, highlight=False, soft_wrap=isinstance(thing, str))


def _models(options: argparse.Namespace) -> None:
    from components.registry.registry import read_index
    from pipelines.cli import models_view as view

    with _registry(options) as (_, registry, _):
        found = read_index(registry, options.name)
    entries = [found.get(version) for version in options.models]
    if options.json:
        chosen = entries or list(found.entries.values())[::-1]
        print(json.dumps([view.as_json(entry, found) for entry in chosen], indent=1))
    elif not found.entries:
        print(f"no model is registered as {options.name}; a run registers what it trains")
    elif not entries:
        _print(view.list_table(found))
    elif len(entries) == 1:
        _print(view.show_table(entries[0], found))
    else:
        _print(view.compare_table(entries, found), *filter(None, [view.comparable(entries)]))


def _promote(options: argparse.Namespace) -> None:
    from components.deploy.promote import promote

    cluster = _cluster(options)
    if options.shadow is not None and cluster is None:
        raise InventoryError("--shadow needs --namespace; on this machine `inventory serve BUNDLE --shadow BUNDLE`")
    with _registry(options) as (store, registry, _):
        change = promote(store, registry, options.name, options.model, cluster, options.shadow)
        _say(store, options, change, "now", "; the gate was not asked")


def _rollback(options: argparse.Namespace) -> None:
    from components.deploy.promote import roll_back

    with _registry(options) as (store, registry, _):
        _say(store, options, roll_back(store, registry, options.name, _cluster(options)), "again")


def _say(store: "Store", options: argparse.Namespace, change: "Change", how: str, more: str = "") -> None:
    """Says what is in service; on one machine, where nothing serves between runs, also how to serve the bundle."""
    from components.counter.signing.stored import fetch

    instead = f" instead of {change.before.version}" if change.before else ""
    print(f"{options.name}: {change.entry.version} is in service {how}{instead}{more}")
    smoke = change.smoke
    print(f"smoke test: {smoke.bins} labelled bins answered as the model does, {smoke.correct} with the right count")
    if change.url:
        print(f"it answers at {change.url}")
        return
    folder = options.runs / change.entry.version / "model"
    fetch(store, change.entry.bundle_key, folder, None)
    print(f"serve it: inventory serve {os.path.relpath(folder)}")


def _sign(options: argparse.Namespace) -> None:
    from components.counter.bundle import BUNDLE_FILE
    from components.counter.signing.signature import sign
    from components.counter.signing.stored import sign_stored

    if (key := signing_key(options.key)) is None:
        raise InventoryError(f"no key to sign with: give --key FILE, or name it in {SIGNING_VARIABLE}")
    if (Path(options.model) / BUNDLE_FILE).is_file():
        sign(Path(options.model), key)
    else:
        with _registered(options) as (store, prefix, bundle):
            sign_stored(store, prefix, key, bundle)
    print(f"{options.model}: signed; verify it: inventory verify {options.model} --public-key FILE")


def _verify(options: argparse.Namespace) -> None:
    from components.counter.bundle import BUNDLE_FILE
    from components.counter.signing.signature import load
    from components.counter.signing.stored import fetch

    if (key := public_key(options.key)) is None:
        raise InventoryError(f"no key to verify with: give --public-key FILE, or name it in {PUBLIC_VARIABLE}")
    if (Path(options.model) / BUNDLE_FILE).is_file():
        load(Path(options.model), key)
    else:
        with _registered(options) as (store, prefix, _), tempfile.TemporaryDirectory(prefix="verify-") as scratch:
            fetch(store, prefix, Path(scratch), key)
    print(f"{options.model}: every file is as it was signed for {key}")


@contextmanager
def _registered(options: argparse.Namespace) -> "Iterator[tuple[Store, str, Bundle]]":
    """The store, and where in it a registered model's bundle lies."""
    from components.counter.bundle import fetch_description
    from components.registry.registry import check_registered, read_index

    with _registry(options) as (store, registry, _):
        entry = read_index(registry, options.name).get(options.model)
        bundle = fetch_description(store, entry.bundle_key)
        check_registered(bundle, entry)
        yield store, entry.bundle_key, bundle


def _prune(options: argparse.Namespace) -> None:
    from components.registry.in_service import on_cluster
    from components.registry.registry import read_index
    from components.registry.retention import carry_out, plan
    from components.settings.serving import ServingSettings
    from pipelines.cli.models_view import megabytes, prune_table

    with _registry(options) as (store, registry, _):
        found = read_index(registry, options.name)
        serving = []
        if cluster := _cluster(options):
            settings = ServingSettings.read({"name": options.name})
            if served := on_cluster(store, found, settings, cluster.api, cluster.namespace):
                serving.append(served.bundle_key)
                serving += filter(None, [served.shadow_key])
        chosen = plan(store, found, options.keep, options.older_than, serving)
        if not chosen.models:
            print(f"nothing to remove: {len(found.entries)} models, all in service, too new or among those to keep")
            return
        _print(prune_table(chosen))
        if options.dry_run:
            print(f"would free {megabytes(chosen.size)} MB; without --dry-run it is done")
            return
        removed = list(carry_out(store, registry, options.name, chosen))
        print(f"removed {len(removed)} models, {megabytes(chosen.size)} MB")


def _reproduce(options: argparse.Namespace) -> int:
    from components.common.store import is_address
    from components.registry.registry import read_index
    from pipelines.local.fresh_environment import reproduce_afresh

    with _registry(options) as (store, registry, environment):
        if "/" in options.model:
            key = store.key(options.model) if is_address(options.model) else options.model
        else:
            key = read_index(registry, options.name).get(options.model).bundle_key
        found = reproduce_afresh(key, environment, options.fresh_environment)
    if options.json:
        print(found.to_json(), end="")
        return int(not found.confirmed)
    for name, pair in found.metrics.items():
        print(f"{name}: recorded {pair.recorded:.6g}, found {pair.found:.6g}")
    for name, version in found.versions.items():
        print(f"mind: {name} {version.recorded} then, {version.found} now")
    print(f"{options.model}: the numbers are {'confirmed' if found.confirmed else 'NOT confirmed'}")
    return int(not found.confirmed)
