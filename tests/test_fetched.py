"""What tests unpack or run is the file that is pinned."""

import base64
import hashlib
import io
import os
import tarfile
import zipfile

import pytest

import fetched


@pytest.fixture
def pin(tmp_path):
    """Return a function that puts a file among others, pins it, and returns where both are."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "before").write_bytes(b"another")
    pins = tmp_path / "fetched.txt"

    def pin(name, data):
        digest = hashlib.sha256(data).hexdigest()
        pins.write_text(f"{name}==1 \\\n    --hash=sha256:{digest}\n")
        (folder / "file").write_bytes(data)
        return folder, pins

    return pin


def test_sources(pin, tmp_path):
    """The folder in the archive is unpacked."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a-1/empty"))
    where = pin("a", data.getvalue())

    unpacked = fetched.sources("a", tmp_path / "target", *where)

    assert (unpacked / "empty").read_bytes() == b""


def test_program(pin, tmp_path):
    """The program that is unpacked can be run."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a/bin/run", "#!/bin/sh\n")
        archive.writestr("a/other", "")
    where = pin("a", data.getvalue())

    path = fetched.program("a", "bin/run", tmp_path / "target", *where)

    assert path.endswith("/target/a/bin/run")
    assert os.access(path, os.X_OK)


def test_another_file(pin, tmp_path):
    """The error names what is missing, and the command that fetches it."""
    folder, pins = pin("a", b"what was pinned")
    (folder / "file").write_bytes(b"something else")

    with pytest.raises(
        FileNotFoundError, match=r"is the a that .*: run `make \.fetched/all`"
    ):
        fetched.sources("a", tmp_path / "target", folder, pins)


def _packed(names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return data.getvalue()


def _npm_pin(folder, data):
    folder.mkdir()
    (folder / "folder").mkdir()
    (folder / "file.tgz").write_bytes(data)
    pins = folder.parent / "fetched_npm.txt"
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    pins.write_text(f"# a comment\n@a/b @a/b@1.2.3 sha512-{digest}\n")
    return folder, pins


def test_modules(tmp_path):
    """Each package has its folder, whatever the one in its file is called."""
    where = _npm_pin(tmp_path / "files", _packed(["package/index.js", "package/lib/a.js"]))

    versions = fetched.modules(tmp_path / "modules", *where)

    assert versions == {"@a/b": "1.2.3"}
    assert (tmp_path / "modules/@a/b/index.js").is_file()
    assert (tmp_path / "modules/@a/b/lib/a.js").is_file()


def test_another_module(tmp_path):
    """The error names what is missing, and the command that fetches it."""
    folder, pins = _npm_pin(tmp_path / "files", b"what was pinned")
    (folder / "file.tgz").write_bytes(b"something else")

    with pytest.raises(
        FileNotFoundError,
        match=r"is the @a/b@1\.2\.3 that .*: run `make \.fetched/clients`",
    ):
        fetched.modules(tmp_path / "modules", folder, pins)
