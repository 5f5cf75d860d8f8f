"""Run all notebooks from clean and store them with their outputs: python docs/make_notebooks.py [01 ...]."""  # noqa: INP001 - a script

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"  # progress bars: nothing to see in a stored notebook
HIDDEN = ("KEYAPI_", "XDG_", "MPLBACKEND", "PYTHONWARNINGS")


def run(path: Path) -> None:
    """Run a notebook in a fresh kernel and an empty folder, without a key: what it saved before is not seen."""
    notebook = nbformat.read(path, as_version=4)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as work:
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": work}})
        client.execute(env={**kept, "XDG_DATA_HOME": data})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran is nobody's business
        cell["outputs"] = [one for one in cell.get("outputs", ()) if WIDGET not in one.get("data", {})]
        if cell.cell_type != "code":
            del cell["outputs"]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}  # fmt: skip
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for file in sorted(FOLDER.glob("*.ipynb")):
        if len(sys.argv) == 1 or file.name[:2] in sys.argv[1:]:
            run(file)
