"""HTML that is escaped unless it says that it is HTML. Standard library only."""

import base64
import re
from collections.abc import Iterable
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

_URL = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:)\]]")
_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})\b")
_VOID = {"img", "meta", "br", "source"}
SMALL = 96  # pixels up to which a picture is kept without loss
QUALITY = 85  # of the JPEG of others


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def el(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element. Children and attribute values are escaped, children that are `Markup` are not.

    A child may be None, which is nothing, or a list of children. `cls` is the attribute `class`; other names have
    underscores for hyphens. An attribute of None or False is left out.
    """
    written = "".join(
        f' {"class" if name == "cls" else name.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[Any]) -> Markup:
    """Return the children one after the other, escaped where they are not markup."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list | tuple):
        return join(child)
    return escape(str(child), quote=True)


def linked(text: str) -> Markup:
    """Return text with its web addresses and arXiv numbers as links, which load nothing until they are followed."""
    parts, end = [], 0
    found = [(m.span(), m.group(), m.group()) for m in _URL.finditer(text)]
    found += [(m.span(), m.group(), f"https://arxiv.org/abs/{m.group(1)}") for m in _ARXIV.finditer(text)]
    for (start, stop), words, address in sorted(found):
        if start < end:
            continue
        parts += [text[end:start], el("a", words, href=address, rel="noopener noreferrer")]
        end = stop
    return join([*parts, text[end:]])


def data_uri(content: bytes, kind: str) -> str:
    """Return the bytes as a `data:` address of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def image_uri(image: np.ndarray, most: int = 192) -> str:
    """Return uint8[H, W, C] as a PNG data address, scaled down to at most `most` pixels a side."""
    picture = _picture(image)
    picture.thumbnail((most, most))
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return data_uri(out.getvalue(), "image/png")


def picture_uri(image: np.ndarray, most: int) -> str:
    """Return uint8[H, W, C] as a data address: PNG where it is small, else JPEG of at most `most` pixels a side."""
    picture, out = _picture(image), BytesIO()
    if max(picture.size) <= SMALL:
        picture.save(out, "PNG", optimize=True)
        return data_uri(out.getvalue(), "image/png")
    picture.thumbnail((most, most))
    picture.save(out, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(out.getvalue(), "image/jpeg")


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image.reshape(image.shape[:2]) if image.ndim == 3 and image.shape[2] == 1 else image)
