"""What installed packages say of themselves."""

from pathlib import Path

import pytest

from fathom_tui.sources.installed import licence


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("License-Expression: MIT AND MPL-2.0\nLicense: MIT", ("MIT AND MPL-2.0", True)),
        ("License: Apache 2.0\nClassifier: License :: OSI Approved :: MIT License",
         ("Apache 2.0", False)),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: ISC License (ISCL)",
         ("ISC License (ISCL)", False)),
        (f"License: {'Copyright ' * 20}\nClassifier: License :: OSI Approved :: BSD License",
         ("BSD License", False)),
        ("Classifier: License :: OSI Approved :: MIT License\n"
         "Classifier: License :: OSI Approved :: Apache Software License",
         ("MIT License or Apache Software License", False)),
        ("Classifier: Programming Language :: Python", None),
    ],
)  # fmt: skip
def test_the_licence_of_a_package_is_what_it_declares(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: str,
    found: tuple[str, bool] | None,
) -> None:
    folder = tmp_path / "odd_package-1.0.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.4\nName: odd-package\nVersion: 1.0\n{fields}\n"
    (folder / "METADATA").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    assert licence("odd-package") == found


def test_a_package_that_is_not_there_declares_nothing() -> None:
    assert licence("no-such-package") is None
