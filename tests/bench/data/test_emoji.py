import hashlib
import shutil
import zipfile

import numpy as np
import pytest

from bench.data import build_fluent_emoji
from bench.data.emoji import (
    ARCHIVE,
    SHA256_FILE,
    SPLITS,
    base_code_point,
    emoji_groups,
    group_by_base,
    load_emoji,
    read_archive,
)
from bench.errors import UserError


def test_embedded_emoji_are_complete_and_premultiplied():
    emoji = load_emoji()
    assert emoji.pixels.shape == (3391, 64, 64, 4)
    assert emoji.pixels.dtype == np.uint8
    files = [f"{name}.webp" for name in emoji.names]
    assert files == sorted(set(files))
    assert "1f44d-1f3fb" in emoji.names
    assert (emoji.pixels[..., :3] <= emoji.pixels[..., 3:]).all()
    assert not emoji.pixels.flags.writeable


def test_splits_cover_all_emoji_and_share_no_base_code_point():
    names = load_emoji().names
    train, validation = ([i for group in emoji_groups(s) for i in group] for s in SPLITS)
    assert sorted([*train, *validation]) == list(range(len(names)))
    bases = [{base_code_point(names[i]) for i in part} for part in (train, validation)]
    assert not bases[0] & bases[1]
    assert 0.17 < len(bases[1]) / len(bases[0] | bases[1]) < 0.23


def test_variants_of_a_base_form_one_group():
    names = load_emoji().names
    groups = emoji_groups("train") + emoji_groups("validation")
    thumbs_up = [group for group in groups if any(names[i].startswith("1f44d") for i in group)]
    assert len(thumbs_up) == 1
    assert [names[i] for i in thumbs_up[0]] == [n for n in names if n.startswith("1f44d")]
    assert len(thumbs_up[0]) == 6  # the plain one and five skin tones


def test_the_split_of_a_base_does_not_depend_on_the_other_emoji():
    names = ["1f44d", "1f44d-1f3fb", "1f600", "a9-fe0f"]
    for split in SPLITS:
        together = {names[i] for group in group_by_base(names, split) for i in group}
        alone = {name for name in names if group_by_base([name], split)}
        assert together == alone


def test_unknown_split():
    with pytest.raises(ValueError, match="test"):
        emoji_groups("test")


def test_damaged_archive_is_refused(tmp_path):
    archive, sha256_file = (shutil.copy(path, tmp_path) for path in (ARCHIVE, SHA256_FILE))
    archive, sha256_file = tmp_path / ARCHIVE.name, tmp_path / SHA256_FILE.name
    data = bytearray(archive.read_bytes())
    data[5000] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="sha256 differs"):
        read_archive(archive, sha256_file)
    archive.unlink()
    with pytest.raises(UserError, match="reinstall"):
        read_archive(archive, sha256_file)


def test_archive_build_is_deterministic_and_sorted():
    with zipfile.ZipFile(ARCHIVE) as files:
        names = files.namelist()
        pictures = {name: files.read(name) for name in (names[9], names[3])}
        assert {info.compress_type for info in files.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in files.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == sorted(names)
    first = build_fluent_emoji.build_archive(pictures)
    assert first == build_fluent_emoji.build_archive(dict(reversed(pictures.items())))


def test_checksum_file_has_the_format_of_sha256sum():
    digest = hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()
    assert SHA256_FILE.read_text() == f"{digest}  {ARCHIVE.name}\n"


def test_another_package_is_refused(tmp_path):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"other")
    with pytest.raises(UserError, match=r"not @lobehub/fluent-emoji-3d 1\.1\.0"):
        build_fluent_emoji.read_package(other)
    with pytest.raises(UserError, match="cannot read"):
        build_fluent_emoji.read_package(tmp_path / "missing.tgz")
