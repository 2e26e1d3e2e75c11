"""``inventory shadow``: how far a shadow agrees with the model in service."""

from rich.console import Console
from rich.table import Table

from components.client.endpoint import Endpoint, open_client
from components.client.query import shadow_report
from components.common.errors import InventoryError
from components.documents.shadow_report import ShadowReport

NO_JUDGE = (
    "Who is right nobody has said: agreement is no accuracy. Where they differ, recounts decide, or labelled bins: "
    "`inventory models` compares what both are known to do on theirs."
)


def print_shadow(endpoint: Endpoint, *, as_json: bool) -> int:
    """Asks the server of the model in service about its shadow and prints what it says.

    Returns:
        0, or 1 when the shadow has failed.

    Raises:
        InventoryError: if the server has no shadow, or cannot be asked.
    """
    with open_client(endpoint) as client:
        report = shadow_report(client, endpoint)
    if report is None:
        raise InventoryError(
            f"{endpoint.model_name} at {endpoint.place} has no shadow; start its server with --shadow, on a cluster "
            "with serving.shadow"
        )
    if as_json:
        print(report.to_json(), end="")
    else:
        console = Console()
        for line in _lines(report):
            console.print(line, highlight=False, soft_wrap=True)
        if report.counts:
            console.print(_table(report))
            console.print(NO_JUDGE, highlight=False, soft_wrap=True)
    return int(report.state == "failed")


def _lines(report: ShadowReport) -> list[str]:
    if report.state == "loading":
        return [f"{report.served} is in service; its shadow is being loaded"]
    lines = [f"{report.served} is in service, {report.shadow or 'a model that was never loaded'} is its shadow"]
    if report.state == "failed":
        lines.append(f"the shadow has failed: {report.reason}")
    if report.interval is None or report.difference is None or report.shift is None:
        lines.append("no photo was compared yet")
    else:
        low, high = report.interval
        lines += [
            f"{report.agreed:,} of {report.compared:,} photos were counted alike: "
            f"{report.agreed / report.compared:.1%} (95 %: {low:.1%} to {high:.1%}, if no photo repeats another)",
            f"the expected number of items differs by {report.difference:.3f} on average; "
            f"the shadow's is {abs(report.shift):.3f} {'lower' if report.shift < 0 else 'higher'}",
        ]
    lines.append(
        f"not compared: {report.dropped:,} for want of time or memory, {report.errors:,} on which the shadow failed"
    )
    return [*lines, "This is one server since its start; where several answer, Prometheus has their sum."]


def _table(report: ShadowReport) -> Table:
    table = Table(title="photos by count")
    for column in ("in service", "shadow", "photos"):
        table.add_column(column, justify="right")
    different = [pair for pair in report.counts if pair.served != pair.shadow]
    for pair in different:
        table.add_row(pair.served, pair.shadow, f"{pair.photos:,}")
    table.add_row("the same", "", f"{report.agreed:,}")
    return table
