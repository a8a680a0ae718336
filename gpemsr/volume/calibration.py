"""From trust layers to the error to expect: learned on sections whose HR is known, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from gpemsr.errors import InputError
from gpemsr.files import replaced

BINS = 32
LEAST = 1e-6  # of a squared error: a quarter of an 8-bit grey level
Numbers = Annotated[list[FiniteFloat], Field(min_length=1)]


class Curve(BaseModel):
    """A value -> the root mean square error to expect; monotone, linear between the points, constant beyond."""

    model_config = ConfigDict(extra="forbid")

    values: Numbers
    """Values of the layer, ascending."""
    errors: Numbers
    """Errors to expect, grey values in [0, 1]."""

    @model_validator(mode="after")
    def _same_length(self) -> Curve:
        if len(self.values) != len(self.errors):
            raise ValueError("values and errors: expected lists of one length")
        return self

    @classmethod
    def fit(cls, values: np.ndarray, squared: np.ndarray) -> Curve:
        """Isotonic regression of squared errors (n,) on values (n,) in bins of equal numbers, rising or falling."""
        from scipy.optimize import isotonic_regression

        order = np.argsort(values, kind="stable")
        parts = np.array_split(order, min(BINS, len(order)))
        means, errors = (np.array([of[part].mean() for part in parts]) for of in (values, squared))
        fits = [isotonic_regression(errors, increasing=rising).x for rising in (True, False)]
        best = min(fits, key=lambda fit: float(np.square(fit - errors).sum()))
        roots = np.sqrt(np.maximum(best, LEAST))
        return cls(values=[round(float(v), 7) for v in means], errors=[round(float(v), 7) for v in roots])

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Errors of values of any shape."""
        return np.interp(values, self.values, self.errors)


class Calibration(BaseModel):
    """What each layer says of the error, and all together."""

    model_config = ConfigDict(extra="forbid")

    scale: int
    """HR over LR size of the network."""
    weights: str | None
    """SHA-256 of its checkpoint."""
    degradation: str
    """How LR is made for the residual, and was made for the calibration."""
    layers: Annotated[dict[str, Curve], Field(min_length=1)]
    """The error to expect by each layer alone."""
    coefficients: dict[str, FiniteFloat]
    """Factors of the logarithms of these errors in their sum."""
    combined: Curve
    """That sum -> the error to expect."""

    @model_validator(mode="after")
    def _same_layers(self) -> Calibration:
        if self.coefficients.keys() != self.layers.keys():
            raise ValueError("coefficients: expected one for each layer")
        return self

    @classmethod
    def fit(
        cls, layers: Mapping[str, np.ndarray], squared: np.ndarray, scale: int, weights: str | None, degradation: str
    ) -> Calibration:
        """Learn from LR pixels: layers (n,), and the mean squared error of the HR pixels under each (n,)."""
        curves = {name: Curve.fit(np.abs(layer), squared) for name, layer in layers.items()}
        logs = np.stack([np.log(curve(np.abs(layers[name]))) for name, curve in curves.items()], axis=1)
        centred = np.log(np.maximum(squared, LEAST)) / 2
        found = np.linalg.lstsq(logs - logs.mean(0), centred - centred.mean(), rcond=None)[0]
        coefficients = {name: round(float(value), 7) for name, value in zip(curves, found, strict=True)}
        combined = Curve.fit(logs @ np.array(list(coefficients.values())), squared)
        return cls(scale=scale, weights=weights, degradation=degradation, layers=curves, coefficients=coefficients,
                   combined=combined)  # fmt: skip

    def expected_error(self, layers: Mapping[str, np.ndarray]) -> np.ndarray:
        """Root mean square error to expect at each LR pixel, of the grey range."""
        total = sum(
            coefficient * np.log(self.layers[name](np.abs(layers[name])))
            for name, coefficient in self.coefficients.items()
        )
        return self.combined(np.asarray(total))

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a file of :meth:`save`. Raises :class:`InputError` if it is not one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{key}: " for key in [".".join(map(str, first["loc"]))] if key)
            raise InputError(f"{path}: {where}{first['msg']}; expected a file of gpemsr-calibrate") from None

    def save(self, path: Path) -> None:
        """Write as JSON. Raises :class:`InputError` if it cannot be written."""
        with replaced(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1))

    def check(self, path: str, scale: int, weights: str | None, degradation: str, names: list[str]) -> None:
        """Raise :class:`InputError` unless it was made for such a network, degradation and layers."""
        if (self.scale, self.weights) != (scale, weights):
            raise InputError(f"{path}: was made with another network; expected a calibration of this checkpoint")
        if self.degradation != degradation:
            raise InputError(f"{path}: was made with --degradation {self.degradation}, not {degradation}")
        absent = sorted(self.layers.keys() - set(names))
        if absent:
            raise InputError(f"{path}: was made with {', '.join(absent)}; expected --trust full")
