"""Contact sheet of subjects: `python -m training.people.sheet OUT/test -o sheet.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from training.people.shards import is_complete, picture_name, read_record


def contact_sheet(
    folders: list[Path], cell_px: int = 256, ground: tuple[int, int, int] = (128, 128, 128)
) -> Image.Image:
    """One row a subject, one cell a view, on a plain ground, with framing and yaw written in."""
    records = [read_record(folder) for folder in folders]
    columns = max(len(record["views"]) for record in records)
    sheet = Image.new("RGB", (columns * cell_px, len(folders) * cell_px), ground)
    draw = ImageDraw.Draw(sheet)
    for row, (folder, record) in enumerate(zip(folders, records, strict=True)):
        for column, view in enumerate(record["views"]):
            stored = (folder / picture_name(column, size_px) for size_px in (512, 1024))
            with Image.open(next(path for path in stored if path.is_file())) as picture:
                small = picture.convert("RGBA").resize((cell_px, cell_px), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * cell_px, row * cell_px), small)
            label = f"{view['framing']} {view['yaw_deg']:.0f}"
            draw.text((column * cell_px + 3, row * cell_px + 2), label, fill=(255, 255, 255))
        words = f"{folder.name} {record['pose']} {record['height_m']:.2f}m"
        draw.text((3, (row + 1) * cell_px - 13), words, fill=(255, 255, 0))
    return sheet


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.people.sheet", description=__doc__)
    parser.add_argument("folder", type=Path, help="a subject's folder or a split's folder")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="first subject of a split")
    parser.add_argument("--count", type=int, default=8, help="number of subjects")
    parser.add_argument("--cell", type=int, default=256, help="side of a cell in pixels")
    args = parser.parse_args(argv)
    if is_complete(args.folder):
        folders = [args.folder]
    else:
        folders = [f for f in sorted(args.folder.glob("[0-9]" * 5)) if is_complete(f)]
        folders = folders[args.first : args.first + args.count]
    if not folders:
        parser.error(f"no complete subject in {args.folder}")
    contact_sheet(folders, args.cell).save(args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
