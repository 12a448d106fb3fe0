"""Generates libs/contracts from proto/: `make proto` writes, `make check` compares.

Path in proto/ = protobuf package = Python import path, so no import needs rewriting. Each
package's `__init__.py` re-exports its messages, so that nobody writes `_pb2` in business code.
"""

import filecmp
import re
import shutil
import subprocess
import sys
import tempfile  # noqa: TID251 - generated code, not audio
from importlib.resources import files
from pathlib import Path

PROTO = Path(__file__).parent
CONTRACTS = PROTO.parent / "libs/contracts/src"
EXPORTED = re.compile(r"^(?:message|enum) (\w+)", re.MULTILINE)


def generate(out: Path) -> None:
    sources = sorted(str(p.relative_to(PROTO)) for p in PROTO.rglob("*.proto"))
    google = files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{google}"]
    subprocess.run(  # noqa: S603 - our own arguments
        [*command, f"--python_out={out}", f"--pyi_out={out}", *sources], check=True, cwd=PROTO
    )
    for source in sources:
        package = Path(source).parent
        names = sorted(EXPORTED.findall((PROTO / source).read_text()))
        module = ".".join(package.parts)
        exports = "".join(f'    "{n}",\n' for n in names)
        imports = "".join(f"    {n},\n" for n in names)
        (out / package / "__init__.py").write_text(
            f'"""Generated from proto/{source}; never edited."""\n\n'
            f"from {module}.{Path(source).stem}_pb2 import (\n{imports})\n\n"
            f"__all__ = [\n{exports}]\n"
        )


def differing(left: Path, right: Path) -> list[str]:
    names = {p.relative_to(left) for p in left.rglob("*.py*") if "__pycache__" not in p.parts}
    return [
        str(n)
        for n in sorted(names)
        if not (right / n).exists() or not filecmp.cmp(left / n, right / n, shallow=False)
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        stale = differing(fresh, CONTRACTS)
        if "--check" in sys.argv:
            sys.stdout.writelines(f"stale: {n} (run `make proto`)\n" for n in stale)
            return 1 if stale else 0
        shutil.copytree(fresh, CONTRACTS, dirs_exist_ok=True)
        return 0


if __name__ == "__main__":
    sys.exit(main())
