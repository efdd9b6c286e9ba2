"""Executes a notebook in its folder: `python notebooks/run.py NAME`; `--write` stores the outputs in the file.

Prints `NAME: N cells executed`, or exits with 1 and the failing cell's error.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
CELL_SECONDS_MAX = 1800
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the notebook's name, with or without .ipynb")
    parser.add_argument("--write", action="store_true", help="store the outputs in the notebook")
    arguments = parser.parse_args()
    name = Path(arguments.name).stem
    path = HERE / f"{name}.ipynb"
    if not path.exists():
        sys.exit(f"there is no {path.name} here; known: {', '.join(sorted(p.stem for p in HERE.glob('*.ipynb')))}")
    if arguments.write and os.environ.get("LIFTGATE_SHORT") == "1":
        sys.exit("the short form is a check: run without LIFTGATE_SHORT to store outputs")
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # Sockets of files, not of the network, where the system has them.
        sockets = {"transport": "ipc", "ip": str(Path(folder) / "kernel")} if os.name == "posix" else {}
        # No timings in the file: executing twice changes nothing.
        client = NotebookClient(notebook, timeout=CELL_SECONDS_MAX, kernel_name="python3", record_timing=False,
                                resources={"metadata": {"path": str(HERE)}},
                                config=Config({"ConnectionFileMixin": sockets}))
        try:
            client.execute()
        except CellExecutionError as error:
            print(COLOURS.sub("", str(error)), file=sys.stderr)
            sys.exit(1)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if arguments.write:
        # What the kernel says of itself differs between machines.
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
    print(f"{name}: {sum(cell.execution_count is not None for cell in code)} cells executed")


if __name__ == "__main__":
    main()
