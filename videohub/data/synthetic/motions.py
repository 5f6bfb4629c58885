"""A small data set that is made, not downloaded: short H.264 videos of `scenes`, with a list as Kinetics has it.

It gives a network something real to be measured on where nothing can be fetched. Videos differ in size, frame rate
and length; the classes are equally frequent. The same split has the same pixels everywhere, before and after encoding;
what a manifest compares across versions is therefore the decoded pixels, and bytes only within one folder: an mp4 names
its writer.

Everything that decides a pixel of a video is a whole number. swscale's rounding differs between processors and
versions, so the pictures become YUV here; x264's rate control and look-ahead compare sums of floating point numbers,
whose order depends on the processor (with AVX-512 even on where the memory lies), so each frame has the same quantiser
instead. Decoding H.264 is exact by its standard.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import msgspec
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from videohub import storage
from videohub.data.decoded_images import plane_of
from videohub.data.synthetic.scenes import CLASSES, Scene, picture, scene_of
from videohub.errors import UsageError
from videohub.files import as_json, atomic_write
from videohub.hub.cache import sha256_of
from videohub.log import log

SPLITS = ("train", "val", "test")
_ALIKE = "cpu-independent=1:weightp=0:scenecut=0:b-adapt=0:threads=1:lookahead_threads=1"


class Digests(msgspec.Struct, frozen=True):
    """What a video is known by, each a sha256."""

    file: str  # its bytes, which another version of FFmpeg writes otherwise
    pixels: str  # the planes of its decoded frames, the same everywhere


class Manifest(msgspec.Struct, frozen=True):
    """What a folder says that it holds; written last, so that a set without one is not whole."""

    split: str
    videos: dict[str, Digests]


def generate(
    folder: str | os.PathLike[str], *, split: str = "test", clips: int = 320, workers: int | None = None
) -> Path:
    """Make a split of the data set, or keep the one that lies there if it is whole and still what would be made.

    Args:
        folder: Receives `videos/<split>_<index>.mp4`, the list `<split>.csv`, and the manifest `<split>.json`.
        split: One of `SPLITS`; no two share a random number.
        clips: Number of videos; a multiple of the number of classes makes them equally frequent.
        workers: Videos made at once; by default, one for each processor.
    Returns: The list: on each line a path relative to `folder`, a space and an index into `CLASSES`.
    Raises: UsageError for an unknown split, a number below 1, or a URL.
    """
    _check_split(split)
    if "://" in os.fspath(folder):
        raise UsageError(
            f"{storage.shown(os.fspath(folder))}: found a URL, expected a folder on a disk to make videos in.\n"
            "  Make them there and copy the folder; behind a URL, `--data` reads videos in tars."
        )
    if clips < 1 or (workers is not None and workers < 1):
        raise UsageError(f"motions: clips={clips}, workers={workers}: each must be at least 1")
    root = Path(folder)
    listing, manifest = root / f"{split}.csv", root / f"{split}.json"
    if _is_whole(root, split, clips):
        log.info("motions: %s holds the %d clips of split %s already; nothing was made", root, clips, split)
        return listing
    (root / "videos").mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # from here on the set is not whole
    names = _names(split, clips)
    # PyAV and numpy leave Python's lock while they work: threads do, and a script needs no `if __name__ …` for them.
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        made = pool.map(lambda index: _write(root / names[index], split, index), range(clips))
        digests = list(tqdm(made, desc=f"motions, {split}", total=clips, unit="clip", disable=None))
    with atomic_write(listing) as part:
        part.write_text(_list_text(split, clips))
    with atomic_write(manifest) as part:
        part.write_bytes(as_json(Manifest(split, dict(zip(names, digests, strict=True)))))
    return listing


def clip_scene(split: str, index: int) -> Scene:
    """Return the scene of one video of a split; any run of `len(CLASSES)` of them shows each class once.

    Raises: UsageError for an unknown split.
    """
    _check_split(split)
    return scene_of(f"motions/{split}/{index}", index % len(CLASSES))


def write_mp4(
    path: Path,
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    width: int,
    height: int,
    fps: int,
    quality: int = 24,
    b_frames: int = 0,
) -> None:
    """Write `pictures` to `path`; the file appears there complete or not at all.

    Args:
        pictures: At least one, each (height, width, 3) RGB, of even sides.
        quality: x264's quantiser; 0 is lossless, 51 the worst.
        b_frames: How many frames in a row are coded out of display order.
    """
    options = {"preset": "veryfast", "qp": str(quality), "g": "48", "bf": str(b_frames), "x264-params": _ALIKE}
    with atomic_write(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for rgb in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(to_yuv420(rgb), format="yuv420p")))
        container.mux(stream.encode(None))


def to_yuv420(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return an RGB picture (H, W, 3), both even, as three planes (H * 3 / 2, W), each chroma shared by four pixels.

    BT.601 with luma 16..235 and chroma 16..240, which decoders take where a file names none; factors in 1/256.
    """
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.int32)
    red, green, blue = planes
    luma = (66 * red + 129 * green + 25 * blue + 128 >> 8) + 16
    rows = planes[:, ::2] + planes[:, 1::2]
    red, green, blue = rows[..., ::2] + rows[..., 1::2]  # of four pixels, hence 1/1024
    u = (-38 * red - 74 * green + 112 * blue + 512 >> 10) + 128
    v = (112 * red - 94 * green - 18 * blue + 512 >> 10) + 128
    return np.concatenate([plane.ravel() for plane in (luma, u, v)]).astype(np.uint8).reshape(-1, picture.shape[1])


def pixels_sha256(video: Path) -> str:
    """Return a sha256 over the planes of a 4:2:0 video's frames, in the order in which they are shown."""
    sums = hashlib.sha256()
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            for plane in range(3):
                sums.update(plane_of(frame, plane).tobytes())  # by hand: planes have padding, which is nobody's
    return sums.hexdigest()


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise UsageError(f"motions: there is no split {split!r}; the splits are {', '.join(SPLITS)}")


def _names(split: str, clips: int) -> list[str]:
    return [f"videos/{split}_{index:05d}.mp4" for index in range(clips)]


def _list_text(split: str, clips: int) -> str:
    return "".join(f"{name} {index % len(CLASSES)}\n" for index, name in enumerate(_names(split, clips)))


def _write(path: Path, split: str, index: int) -> Digests:
    """Write one video and return its digests."""
    scene = clip_scene(split, index)
    pictures = (picture(scene, frame) for frame in range(scene.frames))
    write_mp4(path, pictures, width=scene.width, height=scene.height, fps=scene.fps, b_frames=scene.b_frames)
    return Digests(sha256_of(path), pixels_sha256(path))


def _is_whole(root: Path, split: str, clips: int) -> bool:
    """Whether `root` holds exactly this set; one video of each class is made again to see that it would be the same."""
    names = _names(split, clips)
    try:
        listing = (root / f"{split}.csv").read_text()
        manifest = msgspec.json.decode((root / f"{split}.json").read_bytes(), type=Manifest)
        files = [sha256_of(root / name) for name in names]
    except (FileNotFoundError, UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        return False
    if (listing, manifest.split, list(manifest.videos)) != (_list_text(split, clips), split, names):
        return False
    if [made.file for made in manifest.videos.values()] != files:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        again = [_write(Path(scratch) / "again.mp4", split, index) for index in range(min(clips, len(CLASSES)))]
    return [made.pixels for made in again] == [manifest.videos[name].pixels for name in names[: len(again)]]
