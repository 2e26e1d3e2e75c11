"""What a training cost, from the recorded intervals of its runs and the prices that the user gave.

Nothing is guessed: without a price there is no amount, and without both prices no saving.
"""

from collections.abc import Sequence

from components.documents.trained import Cost
from components.train.engine.run_times import Run, run_seconds, wall_seconds

HOUR = 3600


def cost_of(runs: Sequence[Run], on_demand_price: float, spot_price: float) -> Cost:
    """Adds up time and money of all of a training's runs; prices are in dollars per hour and host, 0 when not given.

    The saving is the share of the on-demand price that was not paid for the billable seconds, as EC2 defines "spot
    savings" (docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-savings.html). SageMaker's 1 - billable / training
    seconds gives the same on one instance, since its billable seconds of a spot training are scaled by the price;
    here they are the seconds that machines were held. Steps that were lost and repeated are paid for on both sides.
    """
    billable = sum((run.end - run.start) * run.hosts for run in runs)
    cost = Cost(
        training_seconds=round(wall_seconds(runs), 3),
        run_seconds=round(run_seconds(runs), 3),
        billable_seconds=round(billable, 3),
        runs=len(runs),
        on_demand_price=on_demand_price or None,
        spot_price=spot_price or None,
        on_demand_dollars=billable / HOUR * on_demand_price if on_demand_price else None,
        spot_dollars=billable / HOUR * spot_price if spot_price else None,
        savings=1 - spot_price / on_demand_price if on_demand_price and spot_price else None,
        line="",
    )
    return cost.model_copy(update={"line": cost_line(cost)})


def cost_line(cost: Cost) -> str:
    """A cost in one line."""
    parts = [
        f"Training seconds: {cost.training_seconds:.0f}",
        f"billable seconds: {cost.billable_seconds:.0f}",
    ]
    if cost.savings is not None:
        parts.append(f"managed spot savings: {100 * cost.savings:.1f} %")
    for dollars, words in ((cost.on_demand_dollars, "on demand"), (cost.spot_dollars, "spot")):
        if dollars is not None:
            parts.append(f"{words}: {dollars:.4f} dollars")
    return ", ".join(parts)
