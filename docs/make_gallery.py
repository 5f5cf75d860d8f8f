# ruff: noqa: INP001 - a script, no package
"""Draw the pictures of `docs/gallery` by running the code of its page: `python docs/make_gallery.py [folder]`.

With `--gray` each picture is also written as a black-and-white printer would show it, to judge it by.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from PIL import Image

FOLDER = Path(__file__).parent / "gallery"
CODE_OR_PICTURE = re.compile(
    r"^```python\n(?P<code>.*?)^```|^!\[[^]]*\]\((?P<picture>\w+\.png)\)", re.DOTALL | re.MULTILINE
)


def main() -> None:
    """Run the page's code in order; the figure that is open belongs to the next picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--gray", action="store_true", help="also write each picture without its colours")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, Any] = {}
    with TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data
        for found in CODE_OR_PICTURE.finditer((FOLDER / "index.md").read_text(encoding="utf-8")):
            if found["code"]:
                exec(compile(found["code"], "docs/gallery/index.md", "exec"), names)  # noqa: S102 - the page's own
            else:
                save(options.folder / found["picture"], gray=options.gray)


def save(path: Path, *, gray: bool) -> None:
    """Save the figure that is open."""
    [number] = plt.get_fignums()
    plt.figure(number).savefig(path, dpi=100)
    plt.close(number)
    picture = Image.open(path).convert("RGB")
    picture.save(path, optimize=True)
    if gray:
        picture.convert("L").save(path.with_stem(f"{path.stem}_gray"))
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201 - a script talks


if __name__ == "__main__":
    main()
