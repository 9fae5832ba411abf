"""vLLM's unit under a real user manager, with a program that acts as vLLM."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runner.place import SLUG, Place
from tests.user_manager import UserManager, user_manager, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be tested"),
]

VLLM = f"fathom-vllm-{SLUG}.service"


@pytest.fixture(scope="module")
def manager() -> Iterator[UserManager]:
    with user_manager() as manager:
        yield manager


class TestVllm:
    @pytest.fixture(scope="class")
    def vllm(self, manager: UserManager) -> Iterator[Place]:
        """Return a home whose engagement is to be served by a program that acts as vLLM."""
        place = Place(manager)
        place.home = manager.root / "with vllm"
        place.serving = place.home / "data" / "serving" / SLUG
        program = manager.root / "bin" / "vllm"
        program.parent.mkdir()
        scripted = Path(__file__).with_name("scripted_vllm.py").read_text("utf-8")
        program.write_text(f"#!{sys.executable} -P\n{scripted}", "utf-8")
        program.chmod(0o755)
        adapter = manager.root / "an adapter"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text("{}", "utf-8")
        manager.give(manager.root)
        manager.environment["PATH"] = f"{program.parent}:{manager.environment['PATH']}"
        place.python(
            "from fathom_tui.store import Home, Store\n"
            f"Store(Home.from_env()).create_engagement('Acme', {{'input': 'text'}}, {SLUG!r})\n"
        )
        done = place.fathom(
            *("runner", "install", "--cpu", "--target", "vllm", "--engagement", SLUG),
            *("--lora", f"french={adapter}"),
        )
        assert done.returncode == 0, done.stderr
        yield place
        place.fathom("runner", "uninstall")

    def act(self, place: Place, code: str) -> Any:
        said = place.python(
            "import json, os; from pathlib import Path\n"
            "from fathom_tui.serving import ServingSpec\n"
            "from fathom_tui.store import Home\n"
            "from fathom_tui.runner.vllm_target import VllmTarget\n"
            "home = Home.from_env()\n"
            f"target = VllmTarget(home.data / 'serving' / {SLUG!r}, {SLUG!r}, ready_s=30)\n" + code
        )
        return json.loads(said)

    def test_waits_for_a_first_version_without_failing(self, vllm: Place) -> None:
        state = vllm.manager.show(VLLM, "ActiveState", "LoadState")

        assert state == {"ActiveState": "inactive", "LoadState": "loaded"}
        assert vllm.is_active(VLLM.replace(".service", ".path"))

    def test_the_first_version_starts_it_and_the_next_one_restarts_it(self, vllm: Place) -> None:
        found = self.act(
            vllm,
            "found = []\n"
            "for number in (1, 2):\n"
            "    weights = home.cache / f'merged {number}'\n"
            "    weights.mkdir()\n"
            "    (weights / 'config.json').write_text(str(number))\n"
            "    spec = ServingSpec(sha256='a' * 64, system='', n_ctx=256 * number, threads=1,"
            " max_new_tokens=8)\n"
            "    target.activate(target.create(weights, spec))\n"
            "    card = target._api.card()\n"
            "    found.append([target.live, card['max_model_len'], target.url])\n"
            "print(json.dumps(found))\n",
        )

        assert [row[:2] for row in found] == [["v1", 256], ["v2", 512]]
        assert found[0][2] == found[1][2]
        assert vllm.is_active(VLLM)

    def test_a_version_that_does_not_load_leaves_the_one_before(self, vllm: Place) -> None:
        found = self.act(
            vllm,
            "from fathom_tui.errors import EnvironmentProblem\n"
            "weights = home.cache / 'broken'\n"
            "weights.mkdir()\n"
            "(weights / 'config.json').write_text('3')\n"
            "spec = ServingSpec(sha256='a' * 64, system='', n_ctx=64, threads=1,"
            " max_new_tokens=8)\n"
            "version = target.create(weights, spec)\n"
            "(home.data / 'serving' / target.alias / version / 'config.json').unlink()\n"
            "target._ready_s = 8\n"
            "try:\n"
            "    target.activate(version)\n"
            "except EnvironmentProblem as error:\n"
            "    said = error.message\n"
            "target._ready_s = 60\n"
            "target._wait_for('v2', target._api.place)\n"
            "print(json.dumps([said, target.live]))\n",
        )

        assert found[0].startswith(f"vLLM did not come up with {SLUG} v3.")
        assert found[1] == "v2"

    def test_its_key_is_on_no_command_line(self, vllm: Place) -> None:
        key = (vllm.serving / "vllm.key").read_text("utf-8").split('"')[1]
        pid = vllm.pid(VLLM)

        assert key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert key.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        line = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert f"french={vllm.manager.root}/an adapter" in line
