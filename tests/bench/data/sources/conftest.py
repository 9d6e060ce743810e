import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

LONG_AGO = 10**18


def encoded(seed, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def shard(tmp_path):
    """`shard({name: bytes}, file)`: a tar of these members, last changed long ago."""

    def shard(members, file="a.tar"):
        path = tmp_path / file
        with tarfile.open(path, "w") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        return path

    return shard


@pytest.fixture
def tree(tmp_path):
    """12 images of two classes in train/ and val/, one of them damaged."""
    root = tmp_path / "tree"
    for index in range(12):
        path = root / ("val" if index % 3 == 0 else "train") / "ab"[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken" if index == 4 else encoded(index))
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def shards(tree, tmp_path):
    """`shards(size=..., root=...)`: the tree as a source of shards."""
    from bench.data.image_folder import list_images
    from bench.data.sources.places import ShardSource
    from bench.data.sources.shard_writing import write_shards

    def shards(size=4000, root=tree, out="shards"):
        written = write_shards(
            list_images(root), tmp_path / out, size=size, progress=lambda count: None
        )
        for path in (tmp_path / out).glob("*.tar"):
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
        patterns = written.patterns
        return ShardSource(
            (patterns.get("train") or patterns[""],),
            (patterns["validation"],) if "validation" in patterns else (),
            str(written.classes) if written.classes else None,
        )

    return shards
