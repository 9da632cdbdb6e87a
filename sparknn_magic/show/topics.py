"""The help of what is not a command: a plugin, or the keys of a cell."""

from collections.abc import Iterable

from sparknn_magic import registry
from sparknn_magic.errors import UnknownName, did_you_mean

KEYS = "keys"


def topic_help(name: str, commands: Iterable[str] = ()) -> str:
    """Return the help of a plugin, or of `keys`: all that a cell can say. `commands` are near names too.

    Raises: UnknownName with the nearest; PluginError for a plugin that does not load.
    """
    from sparknn_magic.show.catalogue import item_help
    from sparknn_magic.show.keys import keys_help

    if registry.fold(name) == KEYS:
        return keys_help()
    try:
        return item_help(registry.find(name))
    except UnknownName as error:
        plugins = [each for kind in registry.GROUPS for each in registry.names(kind)]
        if ":" in name:
            raise
        guess = did_you_mean(name, [*plugins, *commands, KEYS])
        raise UnknownName(f"there is no plugin named '{name}'.{guess}", hint=error.hint) from error
