import json
import platform
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bench.data.sources.reading import stamp_of


def faults_of_a_worker(path, *, images):
    places = [(path.name, stamp_of(path))] * images
    task = json.dumps({"root": str(path.parent), "places": places, "resolution": 32})
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    done = subprocess.run(
        [sys.executable, "-m", "bench.data.sources.reading"],
        input=task,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["rows"]["name"]) == images
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_a_worker_keeps_the_memory_of_an_image_for_the_next(tmp_path):
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    more = faults_of_a_worker(path, images=120) - faults_of_a_worker(path, images=20)
    pages = 100 * 4 * noise[..., 0].size / resource.getpagesize()
    assert more < 0.3 * pages
