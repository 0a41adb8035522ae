"""Video frames: uniformly random ones of every video; one each, as in s1m-180 (section 5.1)."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, groupby
from pathlib import Path, PurePosixPath

from PIL import Image

from datastill.coco.format import Record, image_id
from datastill.coco.image_header import DEFAULT_LIMIT, PixelLimit, opened
from datastill.errors import DataError
from datastill.images.folders import VIDEO_KINDS
from datastill.images.load import Refusal, printable
from datastill.images.pools import Processes
from datastill.io import atomic, parse_json
from datastill.sources.video_decoding import Choice, identify, random_frames


def find_videos(source: Path) -> tuple[Path, list[str]]:
    """Return the root folder and its videos: posix names relative to the root, sorted, each once.

    `source` is a folder, searched with all folders in it that are not links, one video, or a text
    file with one path per line, relative to its folder; blank lines and # comments are ignored.
    Raises DataError if it is none of these, names no video, or a path leaves the folder.
    """
    if source.is_dir():
        paths = (path for path in source.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
        root, names = source, {p.relative_to(source).as_posix() for p in paths if not p.is_dir()}
    elif source.is_file():
        root, is_video = source.parent, source.suffix.lower() in VIDEO_KINDS
        names = {source.name} if is_video else _listed(source)
    else:
        raise DataError(f"{source}: expected a folder or a list of videos, found nothing there")
    if not names:
        raise DataError(f"{source}: expected videos ({' '.join(VIDEO_KINDS)}), found none")
    return root, sorted(names)


def _listed(source: Path) -> set[str]:
    try:
        lines = [line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise DataError(
            f"{source}: expected a folder or a text file with one path per line, found no text"
        ) from None
    paths = [PurePosixPath(line) for line in lines if line and not line.startswith("#")]
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{source}: {str(path)!r} leaves its folder; list paths below that")
    return {path.as_posix() for path in paths}


def extract_frames(  # noqa: PLR0913  # a limit for safety, the others for meaning
    source: Path,
    folder: Path,
    seed: int,
    advance: Callable[[int], None],
    per_video: int = 1,
    limit: PixelLimit = DEFAULT_LIMIT,
) -> tuple[list[Record], list[Refusal]]:
    """Store random frames of every video of `source` as JPEGs in `folder`, unless they exist.

    Returns in the order of `find_videos` the COCO images, whose `file_name` starts with the name of
    `folder` and which also have `video` and `frame` (its index), and the videos with fewer frames
    than requested or with frames above the `limit`. The number of workers, processes that import
    the calling script again, changes nothing. `advance` is called with 1 for every requested frame.
    """
    root, names = find_videos(source)
    folder.mkdir(parents=True, exist_ok=True)
    choices = [Choice(name, seed, part, per_video) for name in names for part in range(per_video)]
    contents = {name: identify(root / name) for name in names}
    paths = {choice: folder / f"{choice.key(contents[choice.name])}.jpg" for choice in choices}
    images = {choice: image for choice, path in paths.items() if (image := _stored(path))}
    for _ in images:
        advance(1)
    missing = {choice: path for choice, path in paths.items() if choice not in images}
    refusals: dict[str, Refusal] = {}
    # A fork of this process may inherit a codec without its threads and hang on freeing it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    videos = [[*chosen] for _, chosen in groupby(missing.items(), lambda item: item[0].name)]
    with Processes(os.cpu_count(), context) as pool:
        results = chain.from_iterable(pool.map(partial(_extract, root, limit), videos))
        for choice, result in results:
            if isinstance(result, Refusal):
                refusals[choice.name] = result
            else:
                images[choice] = result
            advance(1)
    return [images[choice] for choice in choices if choice in images], [*refusals.values()]


def _extract(
    root: Path, limit: PixelLimit, chosen: Sequence[tuple[Choice, Path]]
) -> list[tuple[Choice, Record | Refusal]]:
    """Write frames of one video, each with its origin in one file, so that it is opened once."""
    paths, name = dict(chosen), chosen[0][0].name
    results: dict[Choice, Record | Refusal] = {}
    for choice, frame in random_frames(root / name, [*paths], limit):
        if isinstance(frame, DataError):
            reason = str(frame).removeprefix(f"{root / name}: ")
            results[choice] = Refusal(printable(name), reason)
            continue
        origin = {"video": name, "frame": frame.index, "frames": frame.count}
        image, comment = Image.fromarray(frame.image), json.dumps(origin).encode()
        with atomic(paths[choice]) as unfinished:
            image.save(unfinished, "JPEG", quality=95, comment=comment)
        results[choice] = _stored(paths[choice])
    return [(choice, results[choice]) for choice in paths]


def _stored(path: Path) -> Record:
    """Return the COCO image of a stored frame, {} if there is none."""
    try:
        with opened(path) as image:
            origin = parse_json(str(image.info["comment"], "utf-8"))
            width, height = image.size
        origin = {key: origin[key] for key in ("video", "frame")}
    except (DataError, KeyError, TypeError, ValueError):
        return {}
    file_name = f"{path.parent.name}/{path.name}"
    record = {"id": image_id(file_name), "file_name": file_name, "width": width, "height": height}
    return record | origin
