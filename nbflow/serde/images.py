"""Codec of Pillow's images: PNG where PNG has the mode, else the plain bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from nbflow.serde.codec import Codec, Refusal, given, library

__all__ = ["IMAGES"]

_PNG_BITS = {"1": 1, "L": 8, "LA": 16, "RGB": 24, "RGBA": 32, "I;16": 16}
_MAX_PNG_AREA = 50_000_000  # Pillow warns of larger files
_MAX_DEFLATE_RATIO = 1032


def _is_png(mode: str, size: tuple[int, int]) -> bool:
    return mode in _PNG_BITS and 0 < size[0] * size[1] <= _MAX_PNG_AREA


def _image_parts(value: Any) -> list[Any]:
    palette = value.palette
    if not all(value.size):
        raise Refusal(value, "it has no pixels")
    return [
        value.mode,
        list(value.size),
        _png(value) if _is_png(value.mode, value.size) else value.tobytes(),
        None if palette is None else [palette.mode, bytes(value.getpalette(None))],
        dict(value.info),
    ]


def _png(value: Any) -> bytes:
    file, bare = BytesIO(), value.copy()
    bare.info = {}  # texts and profiles are a part of their own
    bare.save(file, "png", compress_level=1)
    return file.getvalue()


def _image(parts: list[Any]) -> Any:
    mode, size, pixels, palette, info = parts
    width, height = (given(side, int) for side in given(size, list))
    given(pixels, bytes)
    if _is_png(mode, (width, height)):
        image = _from_png(mode, (width, height), pixels)
    else:
        image = _from_bytes(mode, (width, height), pixels)
    if palette is not None:
        form, colours = given(palette, list)
        image.putpalette(given(colours, bytes), given(form, str))
    image.info = dict(given(info, dict))
    return image


def _from_png(mode: str, size: tuple[int, int], pixels: bytes) -> Any:
    # Opening reads the header only. What it promises must be what was stored, and
    # must fit into the bytes as far as they can unfold.
    file = library("PIL.Image").open(BytesIO(pixels), formats=("PNG",))
    most = _MAX_DEFLATE_RATIO * len(pixels)
    if (file.mode, file.size) != (mode, size) or (
        size[0] * size[1] * _PNG_BITS[mode] // 8 > most
    ):
        raise ValueError("the image's header does not fit its bytes")
    return file.copy()


def _from_bytes(mode: str, size: tuple[int, int], pixels: bytes) -> Any:
    pillow = library("PIL.Image")
    width, height = size
    # Eight pixels say how many bytes one takes; rows of bits are filled up.
    eight = len(pillow.new(mode, (8, 1)).tobytes())
    if not width or not height:
        raise ValueError("the image has no pixels")
    exact = -(-width // 8) * height if mode == "1" else eight * width * height // 8
    if min(size) < 0 or exact != len(pixels):
        raise ValueError("the image's size does not fit its bytes")
    return pillow.frombytes(mode, size, pixels)


def _tied(value: Any) -> Any:
    raise Refusal(value, "it is tied to its file; return its copy()")


IMAGES: tuple[Codec, ...] = (
    Codec(
        95,
        ("PIL:Image",),
        _image_parts,
        _image,
        children=lambda value: (
            (f"{{}}.info[{key!r}]", item) for key, item in value.info.items()
        ),
    ),
    Codec(96, (), _tied, _tied, base="PIL:Image"),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
