"""Pictures of the report: small PNG files that the page also holds inside."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

SHADES = ((64, 192), (48, 96), (32, 64), (24, 40))  # greys and colours
NEARLY_GREY = 6  # difference of the channels
SMALLEST = 600  # pixels of width


@dataclass(frozen=True)
class Picture:
    """A PNG with what is to be said of it.

    Attributes:
        name: file name in ``figures/``.
        alternative: what it shows, for those who cannot see it.
    """

    name: str
    title: str
    caption: str
    alternative: str
    png: bytes
    width: int
    height: int

    @property
    def data_uri(self) -> str:
        """The PNG as an address that needs no file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def picture(figure: Figure, name: str, title: str, caption: str, limit: int, alternative: str | None = None) -> Picture:
    """Draw a figure as a PNG with a palette, of at most ``limit`` bytes: fewer shades, then fewer pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    data = smallest_png(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()), limit)
    width, height = Image.open(io.BytesIO(data)).size
    return Picture(name, title, caption, alternative or title, data, width, height)


def smallest_png(image: Image.Image, limit: int) -> bytes:
    """The PNG with the most shades, then the most pixels, that ``limit`` bytes hold."""
    while True:
        for greys, colours in SHADES:
            buffer = io.BytesIO()
            with_palette(np.asarray(image), greys, colours).save(buffer, "PNG", optimize=True)
            if buffer.tell() <= limit:
                return buffer.getvalue()
        if image.width <= SMALLEST:
            return buffer.getvalue()
        image = image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS)


def with_palette(pixels: np.ndarray, greys: int, colours: int) -> Image.Image:
    """A picture with even steps of grey, so that tissue stays grey, and the colours that suit the rest best.

    Args:
        pixels: uint8 (y, x, 3).
    """
    grey = pixels.max(axis=2) - pixels.min(axis=2) <= NEARLY_GREY
    indices = np.rint(pixels[..., 1] * ((greys - 1) / 255)).astype(np.uint8)
    palette = np.repeat(np.rint(np.arange(greys) * (255 / (greys - 1))), 3).astype(np.uint8).tolist()
    if not grey.all():
        strip = Image.fromarray(pixels[~grey][None]).quantize(
            colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        indices[~grey] = greys + np.asarray(strip)[0]
        palette += strip.getpalette() or []
    made = Image.frombytes("P", (pixels.shape[1], pixels.shape[0]), indices.tobytes())
    made.putpalette(palette[: 3 * 256])
    return made
