"""What an installation of manifests/ is asked to be."""

from pydantic import Field

from components.settings.cluster import DEFAULT_STORE_SECRET, Name, SecretName
from components.settings.section import Section


class Installation(Section):
    """Where the manifests go, and with what; the command `inventory manifests` has an option for each."""

    namespace: SecretName = Field(description="where runs are to go")
    overlay: str = Field(
        "kubeflow",
        description="kubeflow: a profile, with an object store that is there already; standalone: Kubeflow Pipelines "
        "alone, and an object store with new random keys",
    )
    image: str = Field(description="of the predictor, with its tag")
    store_secret: SecretName = Field(DEFAULT_STORE_SECRET, description="the object store's")
    store_from_environment: bool = Field(
        False,
        description="also the secret, of S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY … of this "
        "environment",
    )
    no_secrets: bool = Field(False, description="standalone: keep the keys that are there")
    storage_class: Name | None = Field(None, description="standalone: of the store's volume [the cluster's default]")
    service_account: Name | None = Field(None, description="that steps run as [the overlay's]")
    monitoring: bool = Field(
        False, description="also what Prometheus' operator and Grafana need to watch the service, with alerts"
    )
    egress_policies: bool = Field(False, description="also let our pods reach nothing but what they need")
