"""A host of someone else's tokenizer: makes it, calls it, in this process or one of its own.

Run as a script it serves one tokenizer under its own interpreter, with numpy and without the
harness: requests come in on stdin and answers go out on what was stdout, each a line of JSON that
counts the arrays whose bytes follow.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np


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
    if "device" in inspect.signature(factory).parameters:
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

    Of a package that is installed in place, or not at all, the Python files of the module's folder
    count; of a single module its file.
    """
    place = name.rpartition(":")[0]
    if place.endswith(".py"):
        return {"sha256": _hash([Path(folder, place)])}
    _look_in(folder)
    spec = importlib.util.find_spec(place)
    if spec is None or spec.origin is None:
        raise ImportError(f"no module '{place}' with a file")
    for distribution in importlib.metadata.packages_distributions().get(place.split(".")[0], []):
        installed = importlib.metadata.distribution(distribution)
        if "editable" not in (installed.read_text("direct_url.json") or ""):
            return {"package": distribution, "version": installed.version}
    file = Path(spec.origin)
    alone = "." not in place and file.name != "__init__.py"
    return {"sha256": _hash([file] if alone else sorted(file.parent.rglob("*.py")))}


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _look_in(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)


def _module_of_file(file: Path) -> Any:
    name = f"external_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None or not file.is_file():
            raise ImportError(f"no file {file}")
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
    return np.ascontiguousarray(value)


def send(stream: IO[bytes], message: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Write a message and its arrays."""
    shapes = [{"shape": list(one.shape), "dtype": one.dtype.str} for one in arrays]
    stream.write(json.dumps({**message, "arrays": shapes}).encode() + b"\n")
    for one in arrays:
        stream.write(one.tobytes())
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
    message = json.loads(line)
    arrays = []
    for one in message.pop("arrays"):
        dtype = np.dtype(one["dtype"])
        if dtype.hasobject:
            raise ValueError("an array of objects")
        size = int(np.prod(one["shape"], dtype=np.int64)) * dtype.itemsize
        content = stream.read(size)
        if len(content) < size:
            raise EOFError
        arrays.append(np.frombuffer(bytearray(content), dtype).reshape(one["shape"]))
    return message, arrays


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the requests end; an error of the tokenizer's is an answer too."""
    hosted: Any = None
    with contextlib.suppress(EOFError):
        while True:
            message, arrays = receive(requests)
            try:
                found, given = None, []
                match message.pop("do"):
                    case "make":
                        hosted = make(**message)
                        found = describe(hosted)
                    case "source":
                        found = source_of(**message)
                    case "call":
                        given = call(hosted, array=arrays[0], **message)
                send(answers, {"found": found}, given)
            except Exception as error:
                traceback.print_exc()
                missing = error.filename if isinstance(error, FileNotFoundError) else None
                send(
                    answers,
                    {"error": f"{type(error).__name__}: {error}", "missing": missing},
                    [],
                )


if __name__ == "__main__":
    # What the tokenizer prints must not get between the answers.
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Modules beside this file are not the tokenizer's.
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
    serve(sys.stdin.buffer, own)
