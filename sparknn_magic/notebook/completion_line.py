"""What may stand on the magic's own line: commands, models, flags, `key.path=value` overrides."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparknn_magic import registry
from sparknn_magic.notebook.completion_rows import Catalog, Offer
from sparknn_magic.notebook.words import COMMANDS, Command

VALUES = {"--mode": ("permissive", "dropmalformed", "failfast"), "--size": ("small", "medium", "large")}
NEW = ("train", "lr-find")  # commands whose NAME is of a model that is yet to be
META = "bundle.json"


def line_offers(
    text: str, body: str, names: Mapping[str, Any], catalog: Catalog, *, cell: bool
) -> tuple[list[Offer], str]:
    """Return what may stand at the end of the words after `%sparknn`, and the piece of them that it replaces."""
    *before, word = re.split(r"\s+", text.lstrip())
    if not before:
        wanted = [
            name for name, command in COMMANDS.items() if (command.body != "no" if cell else command.body != "yes")
        ]
        return [Offer(name, "command") for name in wanted], word
    known = COMMANDS.get(before[0])
    if known is None:
        return [], word
    if before[-1] in known.options:
        return [Offer(value, "value") for value in VALUES.get(before[-1], ())], word
    if word.startswith("-"):
        used = {each.partition("=")[0] for each in before}
        flags = [Offer(flag, "flag") for flag in known.flags if flag not in used]
        options = [Offer(f"{option} ", "flag") for option in known.options if option not in used]
        return [*flags, *options, Offer("--help", "flag")], word
    plain = [each for each in before[1:] if not each.startswith("-") and "=" not in each]
    if known.overrides and len(plain) >= known.names[1]:
        return override_offers(word, body, names, catalog)
    return [*_names(before[0], known, before[1:], names)], word


def override_offers(word: str, body: str, names: Mapping[str, Any], catalog: Catalog) -> tuple[list[Offer], str]:
    """Return what `train.ep` or `train.device=c` may become, for a cell of this body."""
    from sparknn_magic.notebook.completion_body import Body

    here = Body(body, names, catalog)
    keys, equals, value = word.partition("=")
    *parts, last = (int(part) if part.isdecimal() else part for part in keys.split("."))
    if equals:
        return here.values((*parts, last)), value
    found = here.keys(tuple(parts))
    inner = [(offer.text.rstrip(" :"), offer) for offer in found if not offer.text.startswith("- ")]
    return [
        Offer(f"{name}{'.' if offer.text.endswith(':') or offer.kind == 'plugin' else '='}", offer.kind)
        for name, offer in inner
    ], str(last)


def _names(command: str, known: Command, given: Sequence[str], names: Mapping[str, Any]) -> list[Offer]:
    """Return what a plain word of a command may be."""
    plain = [word for word in given if not word.startswith("-")]
    if len(plain) >= known.names[1]:
        return []
    if command == "help":
        plugins = {name for kind in registry.GROUPS for name in registry.names(kind)}
        return [*(Offer(name, "command") for name in COMMANDS), *(Offer(name, "plugin") for name in sorted(plugins))]
    if command == "zoo":
        kinds = [registry.plural(kind) for kind in registry.GROUPS]
        return [*(Offer(name, "task") for name in registry.names("task")), *(Offer(kind, "kind") for kind in kinds)]
    if command in ("init", "new"):
        return [Offer(name, "task") for name in registry.names("task")]
    if command == "load":
        return [Offer(str(folder), "model") for folder in _folders()]
    if re.search(r"\bNAME\b", known.usage) and command not in NEW:
        return [Offer(name, "model") for name in models(names)]
    return []


def models(names: Mapping[str, Any]) -> list[str]:
    """Return the names of the notebook's trained models, and of those in the folder `models`."""
    held = [n for n, v in names.items() if type(v).__module__ == "sparknn_magic.model" and type(v).__name__ == "Model"]
    return sorted({*(name for name in held if not name.startswith("_")), *(folder.name for folder in _folders())})


def _folders() -> list[Path]:
    return sorted(meta.parent for meta in Path("models").glob(f"*/{META}"))
