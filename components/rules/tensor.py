"""Rules about gradients, weights and activations."""

import math

from pydantic import Field

from components.rules.observations import Judgement, Observations, too_few
from components.rules.rule import MOST_LOOKS, Rule


class VanishingGradient(Rule):
    """Some layer gets practically no gradient, so that it does not learn.

    Fires when at each of the last ``looks`` looks the mean absolute gradient of every tensor of one layer is below
    ``threshold``. SageMaker's rule VanishingGradient has the same measure and threshold, 1e-7, for every tensor; here
    for a whole layer, since weights behind a small learnt scale (LayerScale, a residual branch that starts at 0)
    rightly get little. A layer is a block of the backbone, or the head. A training loss below ``solved`` asks for no
    gradient and is not sick. The problem: Hochreiter, 1991.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/vanishing-gradient.html.
    """

    looks: int = Field(default=3, ge=1, le=MOST_LOOKS, description="looks in a row")
    threshold: float = Field(
        default=1e-7, gt=0, lt=1, description="mean absolute gradient below which a tensor does not learn"
    )
    solved: float = Field(
        default=0.01, ge=0, description="training loss below which there is nothing left to learn, in nats"
    )

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if len(seen.looks) < self.looks:
            return too_few(len(seen.looks), self.looks, "looks")
        last = [look["gradients"] for look in seen.looks[-self.looks :]]
        largest = {layer: max(look[layer] for look in last) for layer in last[0]}
        layer = min(largest, key=lambda name: largest[name])
        sick = [name for name, value in largest.items() if value < self.threshold]
        evidence = f"mean absolute gradient of layer {layer} at most {largest[layer]:.1e}, the smallest of all layers"
        is_solved = seen.looks[-1]["loss"] < self.solved
        evidence += f"; {len(sick)} of {len(largest)} layers below {self.threshold:.0e}"
        return Judgement(bool(sick) and not is_solved, evidence)


class ExplodingTensor(Rule):
    """The loss or a gradient is no finite number, or the gradient is suddenly of another order.

    Fires on NaN or infinity in the loss or in the gradient's norm (SageMaker's rule ExplodingTensor), and on a norm
    above ``factor`` times the largest at earlier looks, of which there must be ``looks``. Norms are before clipping.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, ExplodingTensor; Pascanu, Mikolov
    and Bengio, "On the difficulty of training recurrent neural networks", 2013, on norms that jump.
    """

    looks: int = Field(
        default=3, ge=1, le=MOST_LOOKS, description="looks to compare with before a finite norm is judged"
    )
    factor: float = Field(default=1000.0, gt=1, description="jump of the gradient's norm over the largest before")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if not seen.looks:
            return too_few(0, 1, "looks")
        loss, norm = seen.looks[-1]["loss"], seen.looks[-1]["norm"]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return Judgement(True, f"training loss {loss}, norm of the gradient {norm}")
        earlier = [look["norm"] for look in seen.looks[:-1]]
        if len(earlier) < self.looks:
            return Judgement(False, f"training loss {loss:.4f}, norm of the gradient {norm:.3g}")
        largest = max(earlier)
        return Judgement(norm > self.factor * largest, f"norm of the gradient {norm:.3g}, at most {largest:.3g} before")


class PoorWeightInitialization(Rule):
    """The weights started so that the network cannot learn, or has to unlearn first.

    Judged in the first ``looks`` looks. Fires when the first loss is no number or above ``factor`` times the loss of
    guessing, ln K for K counts (a network that knows nothing should start near it); and when at the last of these looks
    all units of some trained weight are still equal: what starts equal gets equal gradients and stays equal.
    SageMaker's rule PoorWeightInitialization looks for broken symmetry and commensurate variances too.
    Sources: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, PoorWeightInitialization; Goodfellow,
    Bengio and Courville, "Deep Learning", 2016, 8.4, on symmetry; Karpathy, "A Recipe for Training Neural Networks",
    2019, on the loss at the start.
    """

    looks: int = Field(default=3, ge=1, le=MOST_LOOKS, description="looks at the start that are judged")
    factor: float = Field(default=10.0, gt=1, description="first loss over the loss of guessing")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if not seen.looks:
            return too_few(0, self.looks, "looks")
        loss, guessing = seen.looks[0]["loss"], math.log(max(seen.classes, 2))
        evidence = f"first training loss {loss:.4g}, guessing has {guessing:.4g}"
        if not loss <= self.factor * guessing:  # also for NaN
            return Judgement(True, evidence)
        if len(seen.looks) < self.looks:
            return too_few(len(seen.looks), self.looks, "looks")
        alike = seen.looks[self.looks - 1]["alike"]
        if alike:
            more = f" and of {len(alike) - 1} more" if len(alike) > 1 else ""
            return Judgement(True, f"all units of weight {alike[0]}{more} are still equal")
        return Judgement(False, f"{evidence}; no weight has all units equal")


class DeadRelu(Rule):
    """Most channels of a ReLU layer are 0 whatever the image, and get no gradient any more.

    Fires when at each of the last ``looks`` looks more than ``share`` of one layer's channels are 0 at every place of
    every image of the batch. SageMaker's rule DeadRelu has the same share, 50 % of a layer, of units that are hardly
    ever active. A frozen backbone is not judged. The problem: Lu et al., "Dying ReLU and Initialization", 2019.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, DeadRelu.
    """

    looks: int = Field(default=3, ge=1, le=MOST_LOOKS, description="looks in a row")
    share: float = Field(default=0.5, ge=0, lt=1, description="share of a layer's channels")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if seen.unseen_relus:
            return Judgement(None, seen.unseen_relus)
        last = [look["inactive"] for look in seen.looks if "inactive" in look][-self.looks :]
        if len(last) < self.looks:
            return too_few(len(last), self.looks, "looks")
        shares = {layer: min(look.get(layer, 0.0) for look in last) for layer in last[-1]}
        layer = max(shares, key=lambda name: shares[name])
        evidence = (
            f"{100 * shares[layer]:.0f} % of the channels of {layer} are 0 for a whole batch, the most of all layers"
        )
        return Judgement(shares[layer] > self.share, evidence)
