"""Small data sets in the true formats, each of pictures that a class can be told by: `write[name](folder)`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from videohub.data.synthetic.motions import write_mp4

WIDTH, HEIGHT = 64, 48


def picture(video: int, frame: int) -> np.ndarray:
    """A coloured bar that moves over a grey ramp; every video has its own colour and speed."""
    ramp = np.linspace(20, 120, WIDTH, dtype=np.float32)[None, :, None]
    made = np.broadcast_to(ramp, (HEIGHT, WIDTH, 3)).copy()
    left = (5 * video + (1 + video % 3) * frame) % (WIDTH - 8)
    made[8 : HEIGHT - 8, left : left + 8] = [40 + 30 * (video % 7), 250 - 25 * (video % 9), 60 + 20 * (video % 5)]
    return made.astype(np.uint8)


def video(path: Path, number: int, frames: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, (picture(number, frame) for frame in range(frames)), width=WIDTH, height=HEIGHT, fps=30)


def frames(folder: Path, number: int, count: int) -> list[str]:
    """Write images as the original's frame lists name them: `ID/ID_000001.jpg`, from 1."""
    folder.mkdir(parents=True)
    names = []
    for frame in range(count):
        names.append(f"{folder.name}/{folder.name}_{frame + 1:06}.jpg")
        Image.fromarray(picture(number, frame)).save(folder.parent / names[-1], quality=95)
    return names


def kinetics(folder: Path, videos: int = 6) -> tuple[Path, dict]:
    for number in range(videos):
        video(folder / f"v{number}.mp4", number)
    (folder / "val.csv").write_text("".join(f"v{number}.mp4 {7 * number}\n" for number in range(videos)))
    return folder / "val.csv", {}


def ssv2(folder: Path, videos: int = 4, *, webm: bool = False) -> tuple[Path, dict]:
    """Frame lists as the zoo's makers published them; with `webm`, the files of the data set itself."""
    templates = {"Pushing something": "0", "Holding something up": "1", "Tearing something": "2"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "something-something-v2-labels.json").write_text(json.dumps(templates))
    right = [list(templates)[number % 3] for number in range(videos)]
    entries = [
        {"id": str(100 + number), "template": right[number].replace("something", "[something]")}
        for number in range(videos)
    ]
    (folder / "something-something-v2-validation.json").write_text(json.dumps(entries))
    if webm:
        for number in range(videos):
            video(folder / "20bn-something-something-v2" / f"{100 + number}.mp4", number)
        return folder, {}
    rows = ["original_vido_id video_id frame_id path labels"]
    for number in range(videos):
        names = frames(folder / "frames" / str(100 + number), number, 12 + number)
        rows += [f'{100 + number} {number} {frame} {name} ""' for frame, name in enumerate(names)]
    (folder / "frame_lists").mkdir()
    (folder / "frame_lists" / "val.csv").write_text("\n".join(rows) + "\n")
    return folder, {"root": folder / "frames"}


def charades(folder: Path, videos: int = 4, *, mp4: bool = False) -> tuple[Path, dict]:
    """Labels of video n: n, and 5 for even ones; half of the frames carry them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"AB{number:03}" for number in range(videos)]
    if mp4:
        rows = ["id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"]
        for number, name in enumerate(names):
            video(folder / "Charades_v1" / f"{name}.mp4", number)
            actions = f"c{number:03} 0.00 1.00" + (";c005 0.50 1.10" if number % 2 == 0 else "")
            rows.append(f'{name},S,Kitchen,6,7,Yes,"A person, who eats.",cup,"One, two.",{actions},1.33')
        (folder / "Charades_v1_test.csv").write_text("\n".join(rows) + "\n")
        return folder, {"root": folder / "Charades_v1"}
    rows = ["original_vido_id video_id frame_id path labels"]
    for number, name in enumerate(names):
        labels = f'"{number},5"' if number % 2 == 0 else f'"{number}"'
        for frame, path in enumerate(frames(folder / "Charades_v1_rgb" / name, number, 30)):
            rows.append(f"{name} {number} {frame} {path} {labels if frame % 2 else chr(34) * 2}")
    (folder / "frame_lists").mkdir()
    (folder / "frame_lists" / "val.csv").write_text("\n".join(rows) + "\n")
    return folder, {"root": folder / "Charades_v1_rgb"}


def ava(folder: Path, record, videos: int = 2) -> tuple[Path, dict]:
    """Seconds 902 and 903 of each video, two people in each; short lists, so that 903's clip ends at the list's end."""
    detection = record.protocol.detection
    folder.mkdir(parents=True, exist_ok=True)
    rows, boxes, truth = ["original_vido_id video_id frame_id path labels"], [], []
    proposals: dict[str, list[list[float]]] = {}
    for number in range(videos):
        name = f"vid_{number}"
        for frame, path in enumerate(frames(folder / "frames" / name, number, 95)):
            rows.append(f'{name} {number} {frame} {path} ""')
        for second in (902, 903):
            for person, (x1, x2) in enumerate(((0.1, 0.5), (0.55, 0.9))):
                boxes.append(f"{name},{second},{x1},0.2,{x2},0.9,,0.95")
                proposals.setdefault(f"{name},{second:04}", []).append([x1, 0.2, x2, 0.9, 0.95])
                truth.append(f"{name},{second:04},{x1},0.21,{x2},0.88,{(11, 12, 80)[(number + person) % 3]},{person}")
        boxes.append(f"{name},902,0.0,0.0,0.1,0.1,,0.5")  # below the threshold
    names = {11: "sit", 12: "stand", 80: "watch (a person)"}
    label_map = "".join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in names.items())
    (folder / "frame_lists").mkdir()
    (folder / "frame_lists" / "val.csv").write_text("\n".join(rows) + "\n")
    pickled = pickle.dumps({moment: np.array(result) for moment, result in proposals.items()})
    written = {
        detection.boxes: pickled if detection.moments == "annotated" else "\n".join(boxes) + "\n",
        detection.ground_truth: "\n".join(truth) + "\n",
        detection.exclusions: "",
        detection.label_map: label_map,
    }
    for place, text in written.items():
        (folder / "annotations" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / place).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder, {"root": folder / "frames"}


def imagenet(folder: Path, images: int = 5) -> tuple[Path, dict]:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(images):
        Image.fromarray(picture(number, 3)).save(folder / f"i{number}.JPEG", quality=95)
        lines.append(f"i{number}.JPEG {number * 100}\n")
    (folder / "val.txt").write_text("".join(lines))
    return folder / "val.txt", {}


WRITE: dict[str, Callable[..., tuple[Path, dict]]] = {
    "tiny_kinetics": kinetics,
    "tiny_ssv2": ssv2,
    "tiny_charades": charades,
    "tiny_ava": ava,
    "tiny_mma_ava": ava,
    "tiny_imagenet": imagenet,
}
