"""Which bundle a service's shadow is: a registered model, or an address in the store, as the server fetches it."""

from components.common.store import Store, is_address
from components.counter import bundle as bundles
from components.registry.entry import Index
from components.settings.serving import NO_SHADOW, ServingSettings


def with_shadow(store: Store, registered: Index, settings: ServingSettings) -> ServingSettings:
    """The same settings with the address of the shadow's bundle, a registered model's or one of this store.

    Raises:
        InventoryError: if there is no such model, or no bundle at the address.
    """
    if settings.shadow in (None, NO_SHADOW):
        return settings
    if is_address(settings.shadow):
        key = store.key(settings.shadow).rstrip("/")
    else:
        key = registered.get(settings.shadow).bundle_key
    bundles.fetch_description(store, key)
    return settings.model_copy(update={"shadow": store.uri(key)})
