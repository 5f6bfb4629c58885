"""Fine-tune a published checkpoint on videos of your own: a new head first, then all of it.

    python examples/finetune.py clips --model slowfast_r50_8x8 --out ours.safetensors
    torchrun --nproc-per-node 8 examples/finetune.py clips --model slowfast_r50_8x8 --out ours.safetensors

`clips` holds `train/CLASS/…` and `val/CLASS/…`. The file that comes out knows its classes and needs nothing beside it:
`videohub predict clip.mp4 --model slowfast_r50_8x8 --checkpoint ours.safetensors`.
"""

import argparse
import os
from pathlib import Path

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, DistributedSampler, Subset

import videohub

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def main() -> None:
    """Train, say after each epoch how many are right, and save."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("data", type=Path)
    options.add_argument("--model", default="slowfast_r50_8x8")
    options.add_argument("--out", type=Path, default=Path("ours.safetensors"))
    options.add_argument("--epochs", type=int, nargs=2, default=(2, 10), help="of the head alone, and of all")
    options.add_argument("--lr", type=float, nargs=2, default=(1e-2, 1e-4), help="likewise")
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--flip", action=argparse.BooleanOptionalAction, help="no: labels tell left from right")
    args = options.parse_args()
    if not (args.data / "train").is_dir():
        options.error(f"{args.data}: found no folder train in it, expected one with a folder for each class")
    if not args.out.parent.is_dir():  # not after hours
        options.error(f"{args.out}: found no folder {args.out.parent}, expected one to write into")
    torch.manual_seed(0)
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
    if WORLD > 1:
        distributed.init_process_group()
    names = sorted(folder.name for folder in (args.data / "train").iterdir() if folder.is_dir())
    model = videohub.load(args.model, num_classes=len(names), labels=names, device=device)
    view = videohub.transforms(model.record, train=True, flip=args.flip)
    train = videohub.ClipDataset(args.data, model.record, split="train", train=True, transform=view, skip_broken=True)
    val = videohub.ClipDataset(args.data, model.record, split="val", train=False)
    loading = {"batch_size": args.batch, "num_workers": args.workers, "pin_memory": device.type == "cuda"}
    sampler = DistributedSampler(train, WORLD, RANK)
    batches = DataLoader(train, sampler=sampler, **loading)
    mine = DataLoader(Subset(val, range(RANK, len(val), WORLD)), **loading)
    head = model.get_classifier()
    first = 0
    for epochs, lr, part in zip(args.epochs, args.lr, (head, model), strict=True):
        model.requires_grad_(False)
        part.requires_grad_(True)
        network = nn.parallel.DistributedDataParallel(model) if WORLD > 1 else model
        optimizer = torch.optim.AdamW(part.parameters(), lr=lr, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(1, epochs * len(batches)))
        for epoch in range(first, first + epochs):
            sampler.set_epoch(epoch)
            train.set_epoch(epoch)
            network.train(part is model)  # the head learns on features as they are: norms keep their statistics
            for clips, targets in batches:
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    logits = network(clips.to(device, non_blocking=True))
                nn.functional.cross_entropy(logits.float(), targets.to(device)).backward()
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
            right = accuracy(model.eval(), mine, device)
            if RANK == 0:
                print(f"epoch {epoch + 1}: {100 * right:.1f} % of {len(val)} right", flush=True)
                videohub.save(model, args.out)  # so that an interruption loses one epoch
        first += epochs
    if RANK == 0:
        print(args.out)
    if WORLD > 1:
        distributed.destroy_process_group()


@torch.inference_mode()
def accuracy(model: nn.Module, batches: DataLoader, device: torch.device) -> float:
    """Return the share of clips that are right, of all processes'."""
    counts = torch.zeros(2, device=device)
    for clips, targets in batches:
        right = model(clips.to(device)).argmax(1) == targets.to(device)
        counts += torch.stack([right.sum(), torch.tensor(len(right), device=device)])
    if WORLD > 1:
        distributed.all_reduce(counts)
    return float(counts[0] / counts[1])


if __name__ == "__main__":
    main()
