"""What a package is: its names, its sums, and the archive that nobody has to trust."""

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.anchors import Anchor, AnchorSet
from fathom_tui.contract import Contract, Field
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.package import CHECKSUMS, FORMAT, MANIFEST, Entry, checksums, task
from fathom_tui.runner.archive import unpack, write
from fathom_tui.runner.package_verify import CannotCheckError, is_inside, read_checksums, same
from tests.answers import contracts, contracts_with_canonical, contracts_with_values

AT = "2026-11-22T05:00:55.736Z"


class TestNames:
    def test_of_a_task_follow_from_what_is_answered(self) -> None:
        labels = Contract.of_labels(("a", "b"))
        amount = Field(name="amount", kind="number")

        assert task(labels) == "classification"
        assert task(Contract(kind="json", fields=(*labels.fields, amount))) == "extraction"

    @given(st.lists(st.sampled_from(("a", "b.c", "..", ".", "", "d e", "\\", "é")), max_size=5))
    def test_that_are_inside_never_lead_out(self, parts: list[str]) -> None:
        name = "/".join(parts)

        if is_inside(name):
            root = Path("/somewhere/package")
            assert (root / name).resolve().is_relative_to(root)
            assert (root / name).resolve() != root


class TestSums:
    @given(
        st.dictionaries(
            st.text("abc/.é _-", min_size=1, max_size=9).filter(is_inside),
            st.text("0123456789abcdef", min_size=64, max_size=64),
            min_size=1,
        )
    )
    def test_are_read_as_they_were_written(self, wanted: dict[str, str]) -> None:
        entries = [Entry(path=path, bytes=0, sha256=sum_) for path, sum_ in wanted.items()]

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CHECKSUMS
            path.write_text(checksums(entries), "utf-8")
            assert read_checksums(path) == wanted

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "not a sum\n",
            f"{'0' * 64}  ../out\n",
            f"{'0' * 64}  /etc/passwd\n",
            f"{'0' * 63}  short\n",
            f"{'0' * 64}  twice\n{'1' * 64}  twice\n",
        ],
    )
    def test_that_are_none_cannot_be_checked(self, text: str, tmp_path: Path) -> None:
        (tmp_path / CHECKSUMS).write_text(text, "utf-8")

        with pytest.raises(CannotCheckError):
            read_checksums(tmp_path / CHECKSUMS)


class TestAnswers:
    """`verify.py` must judge an answer as every other part of Fathom does."""

    @given(contracts_with_values(), contracts_with_canonical(), st.text(max_size=30))
    def test_are_judged_as_by_an_anchor_set(
        self,
        one: tuple[Contract, dict[str, object]],
        other: tuple[Contract, str],
        noise: str,
    ) -> None:
        contract, values = one
        expected = contract.render(values)  # type: ignore[arg-type]
        for answer in (expected, f" {expected}\n", f"{expected}x", other[1], noise, "true", "NaN"):
            assert same(answer, expected, contract.kind) == _right(contract, expected, answer)

    @given(contracts(), st.text(max_size=20))
    def test_of_any_text_never_raise(self, contract: Contract, text: str) -> None:
        assert same(text, text, contract.kind) in (True, False)

    def test_with_a_key_twice_are_wrong(self) -> None:
        assert not same('{"a": 1, "a": 1}', '{"a": 1}', "json")

    def test_true_is_not_one(self) -> None:
        assert not same('{"a": true}', '{"a": 1}', "json")


def _right(contract: Contract, expected: str, answer: str) -> bool:
    anchors = AnchorSet(
        engagement="acme", version="v1", sha256="", run="acme-1", system="", contract=contract,
        max_new_tokens=8, n_ctx=64, anchors=(),
    )  # fmt: skip
    return anchors.right(Anchor(id="1", input="", expected=expected), answer)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A directory with three files and their manifest."""
    directory = tmp_path / "acme-classification-tiny-v1"
    (directory / "eval").mkdir(parents=True)
    for name, data in FILES.items():
        (directory / name).write_bytes(data)
    (directory / MANIFEST).write_bytes(stated())
    return directory


FILES = {CHECKSUMS: b"sums", "eval/cases.jsonl": b"{}\n", "model.gguf": b"weights" * 1000}
NAMES = (MANIFEST, *FILES)


def stated(**changes: int) -> bytes:
    sizes = {name: len(data) for name, data in FILES.items() if name != CHECKSUMS} | changes
    files = [{"path": name, "bytes": size, "sha256": ""} for name, size in sizes.items()]
    return json.dumps({"format": FORMAT, "files": files}).encode()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


class TestArchive:
    def test_unpacks_to_what_was_packed(self, package: Path, into: Path) -> None:
        write(package.with_suffix(".tar.zst"), package, NAMES, at=AT)

        found = unpack(package.with_suffix(".tar.zst"), into)

        assert found.name == package.name
        assert {n: (found / n).read_bytes() for n in FILES} == FILES

    def test_is_the_same_file_every_time(self, package: Path, tmp_path: Path) -> None:
        one, other = tmp_path / "one.tar.zst", tmp_path / "other.tar.zst"
        write(one, package, NAMES, at=AT)
        (package / "model.gguf").touch()
        write(other, package, NAMES, at=AT)

        assert one.read_bytes() == other.read_bytes()

    def test_is_read_by_any_tar(self, package: Path, tmp_path: Path) -> None:
        write(tmp_path / "it.tar.zst", package, NAMES, at=AT)

        with (tmp_path / "it.tar.zst").open("rb") as file:
            data = zstandard.ZstdDecompressor().stream_reader(file).read()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert tar.getnames() == [f"{package.name}/{name}" for name in NAMES]
            assert {member.mode for member in tar} == {0o644}

    def test_holds_names_longer_than_a_header(self, tmp_path: Path, into: Path) -> None:
        directory = tmp_path / ("d" * 90)
        directory.mkdir()
        name = "m" * 120 + ".gguf"
        (directory / name).write_bytes(b"w")
        (directory / CHECKSUMS).write_bytes(b"s")
        files = [{"path": name, "bytes": 1}]
        manifest = json.dumps({"format": FORMAT, "files": files})
        (directory / MANIFEST).write_text(manifest, "utf-8")
        write(tmp_path / "it.tar.zst", directory, (MANIFEST, CHECKSUMS, name), at=AT)

        assert (unpack(tmp_path / "it.tar.zst", into) / name).read_bytes() == b"w"

    def test_leaves_nothing_half_written_where_a_file_is_gone(
        self, package: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(EnvironmentProblem):
            write(tmp_path / "it.tar.zst", package, (*NAMES, "gone"), at=AT)

        assert list(tmp_path.glob("*tar*")) == list(tmp_path.glob(".*tar*")) == []


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE
) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        found = tarfile.TarInfo(name)
        found.size, found.type = len(data), kind
        if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            found.linkname = "/etc/passwd"
        tar.addfile(found, io.BytesIO(data))

    return add


def packed(path: Path, *members: Callable[[tarfile.TarFile], None], behind: bytes = b"") -> Path:
    """Write an archive of just these members."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for add in members:
            add(tar)
    path.write_bytes(zstandard.ZstdCompressor().compress(plain.getvalue() + behind))
    return path


HONEST = (
    member("p/manifest.json", stated()),
    *(member(f"p/{name}", data) for name, data in FILES.items()),
)


class TestHostileArchive:
    def refused(self, path: Path, into: Path) -> str:
        with pytest.raises(UsageError) as caught:
            unpack(path, into)
        outside = [p for p in into.parent.rglob("*") if p.is_symlink() or p.name == "evil"]
        assert outside == []
        return caught.value.message

    def test_an_honest_one_is_taken(self, tmp_path: Path, into: Path) -> None:
        assert unpack(packed(tmp_path / "it", *HONEST), into).name == "p"

    @pytest.mark.parametrize(
        "bad",
        [
            member("p/../evil", b"x"),
            member("/evil", b"x"),
            member("evil", b"x"),
            member("p/evil", b"x"),
            member("other/evil", b"x"),
            member("p/.venv/evil", b"x"),
            member("p/eval", kind=tarfile.SYMTYPE),
            member("p/model.gguf", kind=tarfile.LNKTYPE),
            member("p/evil", kind=tarfile.DIRTYPE),
            member("p/evil", kind=tarfile.FIFOTYPE),
            member("p/evil", kind=tarfile.CHRTYPE),
            member("p/pax", b"30 path=../../evil\n", kind=tarfile.XHDTYPE),
            member("p/long", b"../evil\0", kind=tarfile.GNUTYPE_LONGNAME),
        ],
    )
    def test_members_that_no_package_has_are_refused(
        self, bad: Callable[[tarfile.TarFile], None], tmp_path: Path, into: Path
    ) -> None:
        self.refused(packed(tmp_path / "it", HONEST[0], bad, *HONEST[1:]), into)

    def test_a_file_larger_than_stated_is_refused_before_it_is_written(
        self, tmp_path: Path, into: Path
    ) -> None:
        bomb = member("p/model.gguf", bytes(50_000_000))

        said = self.refused(packed(tmp_path / "it", *HONEST[:-1], bomb), into)

        assert "50000000 bytes" in said
        assert sum(p.stat().st_size for p in into.rglob("*") if p.is_file()) < 10_000

    def test_more_than_this_disk_holds_is_no_fault_of_the_package(
        self, tmp_path: Path, into: Path
    ) -> None:
        huge = member("p/manifest.json", stated(**{"model.gguf": 1 << 60}))

        with pytest.raises(EnvironmentProblem, match="free"):
            unpack(packed(tmp_path / "it", huge, *HONEST[1:]), into)

    def test_sums_larger_than_any_sums_are_refused(self, tmp_path: Path, into: Path) -> None:
        bomb = member(f"p/{CHECKSUMS}", bytes(5 << 20))

        self.refused(packed(tmp_path / "it", HONEST[0], bomb, *HONEST[2:]), into)

    def test_a_missing_file_is_named(self, tmp_path: Path, into: Path) -> None:
        assert "'model.gguf' is missing" in self.refused(
            packed(tmp_path / "it", *HONEST[:-1]), into
        )

    def test_a_file_twice_is_refused(self, tmp_path: Path, into: Path) -> None:
        self.refused(packed(tmp_path / "it", *HONEST, HONEST[-1]), into)

    def test_what_follows_the_last_file_is_refused(self, tmp_path: Path, into: Path) -> None:
        self.refused(packed(tmp_path / "it", *HONEST, behind=bytes(1 << 20)), into)

    def test_what_is_hidden_behind_the_end_is_refused(self, tmp_path: Path, into: Path) -> None:
        self.refused(packed(tmp_path / "it", *HONEST, behind=b"x"), into)

    def test_another_first_file_is_refused(self, tmp_path: Path, into: Path) -> None:
        self.refused(packed(tmp_path / "it", *HONEST[1:]), into)

    @pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"format": "other", "files": []}'])
    def test_a_manifest_that_is_none_is_refused(
        self, manifest: bytes, tmp_path: Path, into: Path
    ) -> None:
        self.refused(packed(tmp_path / "it", member("p/manifest.json", manifest)), into)

    @given(data=st.data())
    def test_one_that_was_cut_or_changed_never_unpacks_to_something_else(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("hostile")
        whole = packed(folder / "it", *HONEST).read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.booleans())
        changed = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        (folder / "it").write_bytes(changed)
        (folder / "into").mkdir()

        try:
            found = unpack(folder / "it", folder / "into")
        except (UsageError, EnvironmentProblem):
            return
        assert {p.relative_to(found).as_posix() for p in found.rglob("*") if p.is_file()} == set(
            NAMES
        )

    def test_another_kind_of_file_is_said_to_be_one(self, tmp_path: Path, into: Path) -> None:
        (tmp_path / "it").write_bytes(b"no archive at all")

        assert "no zstd file" in self.refused(tmp_path / "it", into)
