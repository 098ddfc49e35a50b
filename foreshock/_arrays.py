"""Arrays as people have them: masked, of objects, in another layout, with more than 7 digits."""

import contextlib
import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

FAR = 2**10
"""Distance from 0, in ranges of its values, of a series of which float32 has too few digits."""
_FINE, _COARSE = 2**13, 2**10
"""Steps of float32 between the least and the greatest value of a series: with fewer, rounding moves
its values by more than a ten-thousandth of that, and an offset is taken off; with fewer, its shape
is lost where values become equal."""
_NOISE = 1e-14
"""Differences smaller than this, relative to a value, are the rounding of whoever computed it."""
_KEPT = 0.9
"""Share of the different values of a series that have to stay different."""
_LOST = 0.05
"""Largest share of series whose shape may be lost."""
_TOO_LONG = (
    "{what} contains the whole number {value}, which has more digits than float64: subtract what"
    " they have in common."
)
_SOME, _VALUES = 2000, 4096
"""Most series that are looked at, and values of each."""
_STRETCH = 512
"""Readings that are looked at as one series."""


def is_masked(values: Any) -> bool:
    """Check whether anything is masked in an array, or in those of a list."""
    if isinstance(values, list | tuple):
        return any(map(is_masked, values))
    return isinstance(values, np.ma.MaskedArray) and bool(np.any(values.mask))


def as_numbers(values: Any, what: str) -> NDArray[np.floating[Any]]:
    """Return an array of float32 or float64 of what holds numbers.

    Parameters
    ----------
    values
        An array, a list, or what numpy makes an array of. What is masked, None or a missing value
        of pandas becomes NaN; truth values become 0 and 1.
    what
        What an error names.

    Raises
    ------
    ValueError
        It holds something else, or rows of different lengths.
    """
    try:
        array = np.asarray(unmasked(values))
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor with gradients
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"{what} must be numbers of one shape: {reason}.") from error
    if array.dtype.kind == "O":
        array = np.array([_number(each, what) for each in array.flat]).reshape(array.shape)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be numbers of one shape: got {array.dtype}.")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype == np.float32:
        return array
    numbers: NDArray[np.float64] = array.astype(np.float64, copy=False)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        with np.errstate(invalid="ignore"):
            rounded = numbers.astype(array.dtype) != array
        if rounded.any():
            raise ValueError(_TOO_LONG.format(what=what, value=array[rounded][0]))
    return numbers


def unmasked(values: Any) -> Any:
    """Return values with NaN in the place of what is masked."""
    if isinstance(values, np.ma.MaskedArray):
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        return np.ma.filled(values.astype(kind), np.nan)
    if isinstance(values, list | tuple) and any(
        isinstance(each, list | tuple | np.ma.MaskedArray) for each in values
    ):
        return [unmasked(each) for each in values]
    return values


def as_lists(X: Any) -> Any:
    """Return series as lists where they come as an array, or a frame, of series."""
    if hasattr(X, "to_pylist"):  # of Arrow
        return X.to_pylist()
    framed = not isinstance(X, np.ndarray) and hasattr(X, "to_numpy")
    array = X.to_numpy() if framed else X  # a frame or a column of one
    if not isinstance(array, np.ndarray) or array.dtype != object or array.ndim == 0:
        return X
    scalars = all(isinstance(each, str | bytes) or np.ndim(each) == 0 for each in array.flat)
    return X if scalars else [as_lists(each) for each in array]


def padded(X: Sequence[Any]) -> NDArray[np.float64]:
    """Pad series of unequal length to (n_cases, n_channels, n_timepoints), NaN at the ends.

    Parameters
    ----------
    X
        Series, each (n_timepoints,) or (n_channels, n_timepoints).

    Raises
    ------
    ValueError
        They are no numbers, or differ in their channels.
    """
    cases = [np.atleast_2d(as_numbers(x, f"case {i} of X")) for i, x in enumerate(X)]
    n_channels = len(cases[0])
    for i, case in enumerate(cases):
        if case.ndim != 2 or len(case) != n_channels:
            swapped = len({each.shape[1] for each in cases if each.ndim == 2}) == 1
            raise ValueError(
                f"case {i} of X has shape {np.shape(X[i])}; each series of a list must be"
                " (n_timepoints,) or (n_channels, n_timepoints), all with the same channels."
                + (
                    " They seem to be (n_timepoints, n_channels): transpose each."
                    if swapped
                    else ""
                )
            )
    array = np.full((len(cases), n_channels, max(x.shape[1] for x in cases)), np.nan)
    for i, case in enumerate(cases):
        array[i, :, : case.shape[1]] = case
    return array


def is_uneven(X: Any) -> bool:
    """Check whether X is a list of series of unequal length, or of no series."""
    try:
        return isinstance(X, list | tuple) and len({np.shape(unmasked(x)) for x in X}) > 1
    except (TypeError, ValueError):  # channels of unequal length
        return True


def _number(value: Any, what: str) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(value, str | bytes):
        raise ValueError(f"{what} must be numbers of one shape, got {value!r:.40}.")
    try:
        number = float(value)
        if isinstance(value, int) and number != value:
            raise OverflowError
        return number
    except OverflowError:
        raise ValueError(_TOO_LONG.format(what=what, value=value)) from None
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be numbers of one shape, got a value of type {type(value).__name__}."
        ) from error


def reduce_series(
    X: NDArray[np.floating[Any]], known: Any, channels: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Keep series as float32, less an offset of each channel where its digits would not fit.

    Parameters
    ----------
    X : ndarray of shape (n_series, n_channels, n_timepoints)
        Series, NaN where there is no reading.
    known : slice or ndarray
        Which of them may be looked at for the offset: those that are trained on.
    channels : sequence of str
        Names of the channels.

    Returns
    -------
    tuple
        The series as float32, and the offset (n_channels,) that was taken off, None where it is 0:
        the middle of those channels whose values float32 would move by much of their range.

    Raises
    ------
    ValueError
        Values that differ become equal even so, in more than a twentieth of the series.
    """
    offset = _offset(_some(X[known]))
    kept, lost, shares = _reduced(X, offset)
    if (shares > _LOST).any():  # of what is known, nothing varies there
        level = _level(_some(X[known]))
        offset = np.where(shares > _LOST, level, 0.0 if offset is None else offset)
        kept, lost, shares = _reduced(X, offset)
    if (shares > _LOST).any():
        channel = int(shares.argmax())
        series = _some(X)[int(lost[:, channel].argmax()), channel]
        low, high = np.nanmin(series), np.nanmax(series)
        name = channels[channel] if len(channels) == len(shares) else str(channel)
        raise ValueError(
            f"channel {name!r} has series from {low:.10g} to {high:.10g} whose values are equal in"
            " float32 (7 digits), and no single offset helps: subtract each series' own level, or"
            " use the changes between readings"
            + ("" if max(-low, high) > 1e-36 else ", or use a larger unit")
        )
    return kept, offset


def reduce_readings(
    values: NDArray[np.floating[Any]], channels: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Keep readings (n_channels, n_timepoints) as float32, as `reduce_series` does series.

    For the offset the first half of what each channel has is looked at, since what is trained on
    comes first.
    """
    size = min(_STRETCH, values.shape[1])
    n = values.shape[1] // size
    offset = np.zeros(len(values))
    for k, series in enumerate(values):
        name = channels[k] if len(channels) == len(values) else str(k)
        stretches = series[: n * size].reshape(n, 1, size)
        seen = np.flatnonzero(~np.isnan(stretches).all(axis=2))
        if len(seen):
            chosen = seen[np.linspace(0, len(seen) - 1, min(len(seen), _SOME)).astype(int)]
            early = slice(max(1, len(chosen) // 2))
            _, found = reduce_series(stretches[chosen], early, [name])
            offset[k] = 0.0 if found is None else found[0]
    taken = offset if offset.any() else None
    return to_float32(values, taken), taken


def to_float32(
    X: NDArray[np.floating[Any]], offset: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return X (..., n_channels, n_timepoints), less an offset (n_channels,), in float32.

    What is too large becomes infinite.
    """
    with np.errstate(over="ignore"):
        less = X if offset is None else X - offset[:, None]
        return less.astype(np.float32, copy=False)


def without_levels(X: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Take the least value off each series (..., n_timepoints) that is small beside its distance.

    For models to which the level of a series says nothing: float32 would lose the digits. An
    exported file does the same.
    """
    if not X.size:
        return X
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = np.fmin.reduce(X, axis=-1), np.fmax.reduce(X, axis=-1)  # NaN where none is
        far = _is_far(low, high)
    return X - np.where(far & (high > low), low, 0.0)[..., None] if far.any() else X


def stretches(values: NDArray[Any]) -> NDArray[Any]:
    """Return some stretches (n_stretches, n_channels, any) of readings (n_channels, any)."""
    size = min(_STRETCH, values.shape[1])
    n = values.shape[1] // size
    some = np.linspace(0, n - 1, min(n, _SOME)).astype(int) * size
    return np.stack([values[:, start : start + size] for start in some.tolist()])


def offset_for(
    X: NDArray[np.floating[Any]],
    own: NDArray[np.float64] | None,
    wanted: NDArray[np.float64] | None,
    *,
    level_matters: bool,
) -> NDArray[np.float64] | None:
    """Choose between the offset (n_channels,) that a model takes off and that of the series.

    Parameters
    ----------
    X : ndarray of shape (n_series, n_channels, n_timepoints)
        The series, of which some are looked at.
    own, wanted
        The offset of the series, and that of the model, which is taken unless float32 would then
        lose digits.
    level_matters : bool
        Whether the level of a series says something to the model.

    Raises
    ------
    ValueError
        Levels matter, and values that differ would become equal.
    """
    some = _some(X)
    less = some if wanted is None else some - wanted[:, None]
    if not level_matters:
        return own if _moved(less, to_float32(less)).any() else wanted
    _, _, shares = _reduced(less, None)
    if (shares > _LOST).any():
        raise ValueError(
            "its values are so far from those the model was trained on that they are equal in"
            " float32 (7 digits): train a new model without the other one."
        )
    return wanted


def is_coarse(X: NDArray[np.floating[Any]]) -> bool:
    """Check whether any of series (n_series, n_channels, any) lies far from 0 for its range."""
    if not X.size:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(_is_far(*_range(X)).any())


def _is_far(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.bool_]:
    far: NDArray[np.bool_] = np.maximum(np.abs(low), np.abs(high)) > FAR * (high - low)
    return far


def _some(X: NDArray[Any]) -> NDArray[Any]:
    """Return some of the series, evenly spread, and the first values of each."""
    chosen = np.linspace(0, len(X) - 1, min(len(X), _SOME)).astype(int)
    return X[chosen, :, :_VALUES]


def _reduced(
    X: NDArray[np.floating[Any]], offset: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Return series less an offset, which of some lose their shape, and their share by channel."""
    kept = to_float32(X, offset)
    lost, varies = _lost(_some(X), _some(kept))
    return kept, lost, lost.sum(axis=0) / np.maximum(varies.sum(axis=0), 1)


def _offset(X: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
    """Return the offset of each channel (n_channels,), 0 where it needs none; None if none does."""
    if not X.size:
        return None
    moved = _moved(X, to_float32(X))
    offset = np.zeros(X.shape[1])
    for channel in np.flatnonzero(moved.any(axis=0)):
        series = X[moved[:, channel], channel]
        low, high = _range(series)
        grid = 2.0 ** np.ceil(np.log2(np.median(high - low)))  # that of similar data is the same
        offset[channel] = np.round(np.nanmedian(series) / grid) * grid
    return offset if offset.any() else None


def _level(X: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the middle of each channel (n_channels,), 0 where nothing is known."""
    known = [each[np.isfinite(each)] for each in X.swapaxes(0, 1)]
    return np.array([np.median(each) if each.size else 0.0 for each in known])


def _moved(X: NDArray[np.floating[Any]], kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which series (n_series, n_channels) float32 moves values by much of their range."""
    _, rounding, coarse = _steps(X, kept, _FINE)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.fmax.reduce(np.abs(X - kept), axis=2)
    moved: NDArray[np.bool_] = coarse & (error > rounding)
    return moved


def _lost(
    X: NDArray[np.floating[Any]], kept: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return in which series float32 makes differing values equal, and which vary at all.

    (n_series, n_channels) each.
    """
    varies, rounding, coarse = _steps(X, kept, _COARSE)
    lost = np.zeros(varies.shape, np.bool_)
    for i, channel in np.argwhere(coarse).tolist():
        seen = np.isfinite(X[i, channel])
        values = X[i, channel][seen]
        n_values = len(np.unique(np.round((values - values.min()) / rounding[i, channel])))
        lost[i, channel] = len(np.unique(kept[i, channel][seen])) < _KEPT * n_values
    return lost, varies


def _steps(
    X: NDArray[np.floating[Any]], kept: NDArray[np.float32], fewest: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.bool_]]:
    """Return which series vary, the rounding to expect of them, and which have too few steps.

    Steps are those of float32 within the range of most values; (n_series, n_channels).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = _range(X)
        rounding = _NOISE * np.maximum(np.abs(low), np.abs(high))
        varies = high - low > rounding
        largest = np.maximum(*map(np.abs, _range(kept)))
        few = varies & (high - low < fewest * np.spacing(largest).astype(np.float64))
    return varies, rounding, few


def _range(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return between what values most of each series lie (...,), NaN where there are none.

    An eighth at either end counts for nothing, since a sensor's dropouts are far away; but for a
    series that else stands still.
    """
    ordered = np.sort(X, axis=-1)  # NaN comes last
    last = np.maximum((~np.isnan(X)).sum(axis=-1, keepdims=True) - 1, 0)
    ends = np.concatenate([0 * last, last // 8, last - last // 8, last], axis=-1)
    least, low, high, most = np.moveaxis(np.take_along_axis(ordered, ends, axis=-1), -1, 0)
    still = low == high
    return np.where(still, least, low), np.where(still, most, high)


def warn_of_layout(X: Any, what: str) -> None:
    """Warn of series (n_cases, n_channels, n_timepoints) whose axes seem to be swapped.

    They do if there are more channels than timepoints and time is not clearly the smoother axis.
    """
    _, n_channels, n_timepoints = X.shape
    if n_channels <= n_timepoints:
        return
    if n_timepoints > 1 and _roughness(X[:100], 2) < 0.5 * _roughness(X[:100], 1):
        return
    warnings.warn(
        f"{what} has {n_channels} channels and {n_timepoints}"
        f" {'timepoint' if n_timepoints == 1 else 'timepoints'}: series are (n_cases, n_channels,"
        " n_timepoints). If yours are (n_cases, n_timepoints, n_channels), as in Keras and tslearn,"
        " swap the axes: X.transpose(0, 2, 1).",
        UserWarning,
        stacklevel=3,
    )


def _roughness(X: NDArray[Any], axis: int) -> float:
    """Return how large steps along an axis are, relative to the spread along it."""
    X = np.nan_to_num(np.asarray(X, np.float64), posinf=0, neginf=0)
    spread = np.abs(X - X.mean(axis=axis, keepdims=True)).mean()
    return float(np.abs(np.diff(X, axis=axis)).mean() / spread) if spread else 1.0


_BLOCK = 2**20


def count_codes(codes: NDArray[Any], n_codes: int) -> NDArray[np.int64]:
    """Count each of the codes 0 to n_codes - 1, (n_codes,).

    As `numpy.bincount`, which copies an array that is memory-mapped.
    """
    counts = np.zeros(n_codes, np.int64)
    for start in range(0, len(codes), _BLOCK):
        counts += np.bincount(codes[start : start + _BLOCK], minlength=n_codes)
    return counts


def balance(y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the weight of a case of each class where all classes count the same.

    That is n_cases / (n_classes * cases of the class), of classes as indices (n_cases,).
    """
    counts = count_codes(y, int(y.max()) + 1)
    weights: NDArray[np.floating] = len(y) / (len(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)


def sample(n_cases: int, most: int) -> NDArray[np.int64]:
    """Return the positions of all cases, or of so many that lie evenly among them."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).round().astype(np.int64)


def chunks(X: Any) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Iterate over cases in stretches of about 16 MiB, each with its first case's position.

    X is an array (n_cases, n_channels, n_timepoints) or anything that is sliced to one.
    """
    size = max(1, 2**22 // max(1, X[:1].size))
    return ((start, X[start : start + size]) for start in range(0, len(X), size))


def load_array(path: Path, *, mapped: bool) -> NDArray[Any]:
    """Read an .npy file; ValueError if it is none, or holds objects."""
    with _sound():
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return array


def load_npz(path: Path) -> Arrays:
    """Read the arrays of an .npz file; ValueError if it is none, or holds objects."""
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise ValueError("it contains a single array; save X and y with numpy.savez")
    with _sound(), zipfile.ZipFile(path) as file:
        arrays: Arrays = {}
        for member in file.namelist():
            data = io.BytesIO(file.read(member))  # as a whole, so that its checksum is checked
            arrays[member.removesuffix(".npy")] = np.load(data, allow_pickle=False)
        return arrays


@contextlib.contextmanager
def _sound() -> Iterator[None]:
    """Turn all that numpy and zipfile say of damaged files into a ValueError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, NotImplementedError,
            RuntimeError, SyntaxError, tokenize.TokenError) as error:  # fmt: skip
        raise ValueError(str(error) or type(error).__name__) from error
