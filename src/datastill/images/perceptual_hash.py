"""Perceptual hash and near-duplicates, regardless of size, encoding or mirroring."""

import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from datastill.errors import DataError

# bits: 98 % of 2 % crops stay below; none of 1.08e9 pairs of other pictures is below 28
MAX_DISTANCE = 20
_SIDE = 32  # cells: 160 pixels at JPEG quality 60 flip 12 bits at most of so small a picture
_SURROUNDINGS = 4.0  # cells, sigma: of 2, 3, 4 and 6 the one with the fewest chance resemblances
_NOISE = 2.0  # grey levels: fainter contrasts come and go with the JPEG quality
_MIN_SHOWN = 0.1  # of the cells: 0.21 in the emptiest photograph of 4,367; bits are noise by 0.17
_WORD = 64  # bits a half: 32 would pair 100 photographs by chance among 5,000 x 300,000
_BLANK = "0" * (2 * _WORD // 4)
_HASH = re.compile(f"[0-9a-f]{{{len(_BLANK)}}}")


def _lowest_frequencies(parity: int) -> NDArray[np.intp]:
    """Return the indices of the lowest frequencies in x that are even (0) or odd (1)."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    order = np.argsort(rows**2 + columns**2, axis=None, kind="stable")[1:]
    return order[order % _SIDE % 2 == parity][:_WORD]


_FREQUENCIES = np.concatenate([_lowest_frequencies(0), _lowest_frequencies(1)])


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the perceptual hash of an RGB (h, w, 3) image: 32 hexadecimal digits.

    They are the signs of 128 low frequencies (DCT) of a small grey image whose local contrasts are
    equalized first, or one bright spot would decide them all. Mirroring flips the second half, the
    frequencies odd in x, and not the first. A blank image (one colour, a faint ramp, a speck on
    black) has only zeros.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    cells = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    contrast = cells - _blurred(cells)
    if np.mean(np.abs(contrast) > _NOISE) < _MIN_SHOWN:
        return _BLANK
    equalized = contrast / np.sqrt(_blurred(contrast**2) + _NOISE**2)
    return np.packbits(cv2.dct(equalized).ravel()[_FREQUENCIES] > 0).tobytes().hex()


def _blurred(cells: MatLike) -> MatLike:
    return cv2.GaussianBlur(cells, (0, 0), _SURROUNDINGS)


def near_duplicates(
    first: Sequence[str], second: Sequence[str], distance: int = MAX_DISTANCE
) -> Iterator[tuple[int, int, int]]:
    """Yield (i, j, bits) where the hashes `first[i]` and `second[j]` differ by at most `distance`.

    The bits are the fewer of those to the image and to its mirror image. Blank images match none:
    two black frames are not evidence that sets share a picture. Pairs are not kept in memory: all
    frames of a static camera are near-duplicates. Raises DataError if a hash is malformed.
    """
    words, others = _words(first), _words(second)
    shown = np.flatnonzero(others.any(axis=0))
    others = others[:, shown]
    for i in np.flatnonzero(words.any(axis=0)).tolist():
        near, bits = _near(words[:, i], others, distance)
        for j, n in zip(shown[near].tolist(), bits.tolist(), strict=True):
            yield i, j, n


def repeats(hashes: Sequence[str], distance: int = MAX_DISTANCE) -> list[int]:
    """Return for every image the first one before it that it repeats, or -1 to keep it.

    Only a kept image is ever repeated: a slow pan is thinned, not dropped. All blank images repeat
    the first one. Raises DataError if a hash is malformed.
    """
    words = _words(hashes)
    shown = words.any(axis=0)
    blank = np.flatnonzero(~shown)
    repeated = np.full(len(hashes), -1)
    repeated[blank[1:]] = blank[:1]
    kept, indices, count = np.empty_like(words), np.empty(len(hashes), np.intp), 0
    for i in np.flatnonzero(shown).tolist():
        near, _ = _near(words[:, i], kept[:, :count], distance)
        if len(near):
            repeated[i] = indices[near[0]]
        else:
            kept[:, count], indices[count] = words[:, i], i
            count += 1
    return repeated.tolist()


def _words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hashes (2, n): the halves that mirroring keeps and flips."""
    for i, text in enumerate(hashes):
        if not (isinstance(text, str) and _HASH.fullmatch(text)):
            raise DataError(
                f"hash {i}: expected {len(_BLANK)} hexadecimal digits, found {text!r}; "
                "read a CSV column of them as text (dtype=str)"
            )
    words = np.frombuffer(bytes.fromhex("".join(hashes)), ">u8").reshape(-1, 2)
    return np.ascontiguousarray(words.T, np.uint64)


def _near(
    words: NDArray[np.uint64], others: NDArray[np.uint64], distance: int
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Return which of `others` (2, n) are within `distance` of `words` (2,), and how far."""
    even = np.bitwise_count(others[0] ^ words[0])
    near = np.flatnonzero(even <= distance)  # few: the other half is rarely compared
    odd = np.bitwise_count(others[1, near] ^ words[1])
    bits = even[near] + np.minimum(odd, _WORD - odd)
    close = bits <= distance
    return near[close], bits[close]
