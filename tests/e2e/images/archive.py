"""Writes images as one archive that `ctr images import` takes; a layer of several images is in it once.

Usage: archive.py FILE <IMAGES
IMAGES is JSON: [{"name": "example.org/image:1", "config": {"User": "185"}, "layers": ["layer.tar"]}].
"""

import hashlib
import io
import json
import sys
import tarfile

MADE = "2026-01-01T00:00:00Z"


def digest(path):
    with open(path, "rb") as layer:
        return hashlib.file_digest(layer, "sha256").hexdigest()


def add(archive, name, text):
    member = tarfile.TarInfo(name)
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text))


def write(path, images):
    digests = {layer: digest(layer) for image in images for layer in image["layers"]}
    manifest = []
    with tarfile.open(path, "w") as archive:
        for layer, of_layer in digests.items():
            archive.add(layer, f"{of_layer}/layer.tar")
        for image in images:
            config = json.dumps({
                "architecture": "amd64", "os": "linux", "created": MADE, "config": image["config"],
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digests[layer]}" for layer in image["layers"]]},
                "history": [{"created": MADE} for _ in image["layers"]],
            }).encode()
            file = hashlib.sha256(config).hexdigest() + ".json"
            add(archive, file, config)
            layers = [f"{digests[layer]}/layer.tar" for layer in image["layers"]]
            manifest.append({"Config": file, "RepoTags": [image["name"]], "Layers": layers})
        add(archive, "manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    write(sys.argv[1], json.load(sys.stdin))
