"""Fetch the scripts that pages load, from npm into ``book/_static/vendor``: pages need no other machine then.

``python scripts/vendor.py`` (needs ``npm``) fetches these versions again and compares what comes with the
digests here. To take a newer version, change both; ``tests/book/test_offline.py`` holds the digests.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[1] / "book" / "_static" / "vendor"


@dataclass(frozen=True)
class Package:
    """An npm package: its licence, and of its files those that are kept, with their SHA-256."""

    name: str
    version: str
    licence: str
    folder: str
    files: dict[str, str]


PACKAGES = (
    # with every TeX extension in one file, and glyphs as SVG: no font, no extension is fetched afterwards
    Package(
        "mathjax",
        "3.2.2",
        "Apache-2.0",
        "mathjax",
        {
            "es5/tex-svg-full.js": "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6",
            "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
        },
    ),
    # the build without RequireJS: ipywidgets' own widgets, which are all that the chapters use
    Package(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        "BSD-3-Clause",
        "html-manager",
        {
            "dist/embed.js": "8f6d2d3f856d8595d1841dec3019d99bbe74d331f2a5178c2a33bfec729e3d6a",
            # icons: Font Awesome Free, its fonts under the SIL Open Font License 1.1
            "dist/1551f4f60c37af51121f.woff2": (
                "9834b82ad26e2a37583d22676a12dd2eb0fe7c80356a2114d0db1aa8b3899537"
            ),
            "dist/7a3337626410ca2f4071.woff2": (
                "e42a88444448ac3d60549cc7c1ff2c8a9cac721034c073d80a14a44e79730cca"
            ),
            "dist/d878b0a6a1144760244f.woff2": (
                "8ea8791754915a898a3100e63e32978a6d1763be6df8e73a39d3a90d691cdeef"
            ),
            "dist/embed.js.LICENSE.txt": "aed2008aae8123157c4ae564883166b1af7bab928d504a1fa7de1f67aec11268",
        },
    ),
)


def fetch(package: Package, vendor: Path = VENDOR) -> list[str]:
    """Put the files of a package below ``vendor``; returns what differs from its digests."""
    changed = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package.name}@{package.version}"
        packed = subprocess.run(
            ["npm", "pack", "--silent", wanted], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()
        with tarfile.open(Path(folder) / packed) as archive:
            for name, digest in package.files.items():
                content = archive.extractfile(f"package/{name}").read()
                if hashlib.sha256(content).hexdigest() != digest:
                    changed.append(f'{wanted} {name}: "{hashlib.sha256(content).hexdigest()}"')
                target = vendor / package.folder / Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return changed


if __name__ == "__main__":
    changes = [line for package in PACKAGES for line in fetch(package)]
    print("\n".join(["these are not what was expected:", *changes] if changes else ["all as expected"]))
    sys.exit(bool(changes))
