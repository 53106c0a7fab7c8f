"""Writes an image as an archive that `ctr images import` takes.

Usage: archive.py FILE NAME CONFIG LAYER...
CONFIG is the image's configuration as JSON, such as {"User": "185"}; a layer is a tar file.
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


def write(path, name, config, layers):
    digests = [digest(layer) for layer in layers]
    image = json.dumps({
        "architecture": "amd64", "os": "linux", "created": MADE, "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": MADE} for _ in digests],
    }).encode()
    config_file = hashlib.sha256(image).hexdigest() + ".json"
    manifest = json.dumps([{
        "Config": config_file, "RepoTags": [name], "Layers": [f"{digest}/layer.tar" for digest in digests],
    }]).encode()
    with tarfile.open(path, "w") as archive:
        for layer, of_layer in zip(layers, digests):
            archive.add(layer, f"{of_layer}/layer.tar")
        for file, text in [(config_file, image), ("manifest.json", manifest)]:
            member = tarfile.TarInfo(file)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:])
