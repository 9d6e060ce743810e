"""A host of someone else's tokenizer: makes it, calls it, in this process or one of its own.

Run as a script it serves one tokenizer under its own interpreter, Python 3.8 or later with numpy,
without the harness: requests come in on what was stdin and answers go out on what was stdout, each
a line of JSON that counts the arrays whose bytes follow. It ends when whoever asks does.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import select
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np

KINDS = "biuf"
MOST_ELEMENTS = 2**40

# What code of others raises; an exit that it asks for is no end of ours.
Theirs = (Exception, SystemExit)


def factory_of(name: str, folder: str) -> Any:
    """The function that `package.module:function` or `file.py:function` names.

    Modules and files are looked for in `folder` too. Raises ImportError or AttributeError.
    """
    place, _, function = name.rpartition(":")
    if not place or not function:
        raise ImportError(f"'{name}' is not module:function")
    if place.endswith(".py"):
        found: Any = _module_of_file(Path(folder, place))
    else:
        _look_in(folder)
        found = importlib.import_module(place)
    for part in function.split("."):
        found = getattr(found, part)
    return found


def make(name: str, arguments: dict[str, Any], folder: str, device: str) -> Any:
    """A tokenizer: what the factory gives, with `device` where it takes that."""
    factory = factory_of(name, folder)
    try:
        takes = list(inspect.signature(factory).parameters)
    except ValueError:  # It is of compiled code.
        takes = []
    if "device" in takes:
        arguments = {"device": device, **arguments}
    return factory(**arguments)


def describe(tokenizer: Any) -> dict[str, Any]:
    """Its own description, as plain values."""
    plain: dict[str, Any] = json.loads(
        json.dumps(dict(tokenizer.describe()), default=lambda value: value.item())
    )
    return plain


def call(
    tokenizer: Any, method: str, array: np.ndarray, *, torch: bool, device: str, **further: Any
) -> list[np.ndarray]:
    """What `encode` or `decode` gives for an array, as arrays."""
    if not torch:
        given = getattr(tokenizer, method)(array, **further)
    else:
        import torch as library

        with library.inference_mode():
            tensor = library.from_numpy(array).to(device)
            given = getattr(tokenizer, method)(tensor, **further)
    parts = given if isinstance(given, tuple) else (given,)
    return [_array(part) for part in parts if part is not None]


def source_of(name: str, folder: str) -> dict[str, str]:
    """Identity of the factory's code: its package's version, or the hash of its files.

    Of a package that is installed in place, or not at all, all its Python files count; of a single
    module its file, and those beside it that it imports. The content of a package that is from no
    index counts as well: its version may stay as it was.
    """
    place = name.rpartition(":")[0]
    if place.endswith(".py"):
        return {"sha256": _hash(_with_neighbours(Path(folder, place)))}
    _look_in(folder)
    spec = importlib.util.find_spec(place)
    if spec is None or spec.origin is None:
        raise ImportError(f"no module '{place}' with a file")
    file = Path(spec.origin)
    depth = place.count(".") + (file.name == "__init__.py")
    installed = _installed(file, file.parents[depth])
    if installed is not None:
        return installed
    if not depth:
        return {"sha256": _hash(_with_neighbours(file))}
    return {"sha256": _hash(sorted(file.parents[depth - 1].rglob("*.py")))}


def _installed(file: Path, place: Path) -> dict[str, str] | None:
    """Identity of the distribution that put this file into the `place` of packages, if one did."""
    name = file.relative_to(place).as_posix()
    for about in sorted(place.glob("*.dist-info")):
        record = about / "RECORD"
        lines = record.read_text("utf-8").splitlines() if record.is_file() else []
        if any(line.startswith(f"{name},") for line in lines):
            distribution = importlib.metadata.Distribution.at(about)
            identity = {"package": distribution.metadata["Name"], "version": distribution.version}
            if distribution.read_text("direct_url.json") is not None:
                modules = sorted(line for line in lines if ".py,sha256=" in line)
                identity["sha256"] = hashlib.sha256("\n".join(modules).encode()).hexdigest()
            return identity
    return None


def _with_neighbours(file: Path) -> list[Path]:
    """The file, and all that it imports from its folder, by way of one another."""
    found, left = [file], [file]
    while left:
        for name in _imported(left.pop()):
            for near in (file.parent / f"{name}.py", file.parent / name / "__init__.py"):
                if near.is_file() and near not in found:
                    files = [near] if near.name != "__init__.py" else [*near.parent.rglob("*.py")]
                    found += files
                    left += files
    return [file, *sorted(set(found) - {file})]


def _imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    top = os.path.commonpath([file.parent for file in files])
    for file in files:
        name = os.path.relpath(file, top).encode()
        digest.update(name + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _look_in(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)


def _module_of_file(file: Path) -> Any:
    if not file.is_file():
        raise ImportError(f"no file {file}")
    # Named by its content: what was edited since is another module.
    content = str(file).encode() + b"\0" + file.read_bytes()
    name = f"external_{hashlib.sha256(content).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"no module in {file}")
        _look_in(str(file.parent))
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    array = np.ascontiguousarray(value)
    if array.dtype.kind not in KINDS:
        raise TypeError(f"a {type(value).__name__} is no array of numbers")
    return array


def send(stream: IO[bytes], message: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Write a message and its arrays, which must be of numbers."""
    shapes = [{"shape": list(one.shape), "dtype": one.dtype.str} for one in arrays]
    stream.write(json.dumps({**message, "arrays": shapes}).encode() + b"\n")
    for one in arrays:
        stream.write(np.ascontiguousarray(one).data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read a message and its arrays.

    Raises:
        EOFError: there is no more, or not all of it.
        ValueError: it is no such message.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    try:
        message = json.loads(line)
        told = [(np.dtype(one["dtype"]), one["shape"]) for one in message.pop("arrays")]
        if any(dtype.kind not in KINDS for dtype, _ in told):
            raise ValueError("arrays of other things than numbers")
        sizes = [_elements(shape) * dtype.itemsize for dtype, shape in told]
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    arrays = []
    for (dtype, shape), size in zip(told, sizes):  # noqa: B905 - Python 3.8 has no `strict`.
        content = bytearray(size)
        if stream.readinto(content) < size:  # type: ignore[attr-defined]
            raise EOFError
        arrays.append(np.frombuffer(content, dtype).reshape(shape))
    return message, arrays


def _elements(shape: list[int]) -> int:
    count = 1
    for side in shape:
        if type(side) is not int or side < 0:
            raise ValueError(f"an array of shape {shape}")
        count *= side
    if count > MOST_ELEMENTS:
        raise ValueError(f"an array of shape {shape}")
    return count


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the requests end; an error of the tokenizer's is an answer too."""
    hosted: Any = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            message, arrays = receive(requests)
            do = message.pop("do")
            try:
                found, given = None, []
                if do == "make":
                    hosted = make(**message)
                    found = describe(hosted)
                elif do == "source":
                    found = source_of(**message)
                elif do == "call":
                    given = call(hosted, array=arrays[0], **message)
            except Theirs as error:
                traceback.print_exc()
                missing = error.filename if isinstance(error, FileNotFoundError) else None
                send(answers, {"error": told_of(error), "missing": missing}, [])
            else:
                send(answers, {"found": found}, given)


def told_of(error: BaseException) -> str:
    """An error by its type and text."""
    return f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"


def _end_with(asker: int) -> None:
    """End this process when the other end of a pipe closes, whatever it is at."""
    poll = select.poll()
    poll.register(asker, 0)
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    # What the tokenizer prints must not get between the answers, nor what it reads be requests.
    own_in, own_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(own_in.fileno(),), daemon=True).start()
    # Modules beside this file are not the tokenizer's.
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
    send(own_out, {"python": sys.version}, [])
    serve(own_in, own_out)
