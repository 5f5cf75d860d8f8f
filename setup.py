"""What pyproject.toml cannot say: the wheel holds the notebooks of the top-level folder, without their outputs."""

import json
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithNotebooks(build_py):
    """Copies the notebooks into the package that is built."""

    def run(self) -> None:
        """Build, then write each notebook as one that was never run."""
        super().run()
        if self.editable_mode:  # there they are where they were
            return
        folder = Path(self.build_lib) / "keyapi_research" / "notebooks"
        self.mkpath(str(folder))
        for path in sorted(Path("notebooks").glob("*.ipynb")):
            notebook = json.loads(path.read_text("utf-8"))
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell["outputs"], cell["execution_count"] = [], None
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            (folder / path.name).write_text(text, "utf-8")


setup(cmdclass={"build_py": BuildWithNotebooks})
