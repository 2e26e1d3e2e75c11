"""What a person does with a service, as the page that Kubeflow shows of the deploy step."""

from components.documents.deployed import DeployedModel
from components.pages.text import SPACE


def how_to_ask(service: DeployedModel) -> str:
    """Address, model and how to ask it, as Markdown; an address without an ingress is one of the cluster's inside."""
    replaced = service.replaced or "nothing"
    rows = {
        "address": service.url,
        "model": service.model_name,
        "version": f"{service.version}, in place of {replaced}",
        "tried on": f"{service.smoke.bins} labelled bins, {service.smoke.correct} counted right",
    }
    table = "\n".join(f"|**{name}**{SPACE}|{value}|" for name, value in rows.items())
    target = f"{service.url}/v1/models/{service.model_name}:predict"
    return (
        f"|**{service.model_name}**{SPACE}|is in service|\n|-|-|\n{table}\n\n"
        f"Ask it about a photo:\n\n```\ncurl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {target}\n```\n"
    )
