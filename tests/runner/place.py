"""A home of a user manager's user: what lies in it, and what its units do."""

import json
import shutil
import sys
from typing import Any

from fathom_tui.runner.embedded import embedded_gguf
from tests.user_manager import UserManager

SLUG = "acme-triage"
SERVE = f"fathom-serve-{SLUG}.service"


class Place:
    """A home of the manager's user."""

    def __init__(self, manager: UserManager) -> None:
        self.manager = manager
        self.home = manager.root / 'fathom 50% of $HOME "x"'
        self.serving = self.home / "data" / "serving" / SLUG
        self.said = ""

    def fathom(self, *arguments: str, timeout: float = 120.0) -> Any:
        return self.manager.run(
            *(sys.executable, "-m", "fathom_tui", *arguments),
            environment={"FATHOM_HOME": str(self.home)},
            timeout=timeout,
        )

    def python(self, code: str, *arguments: str) -> str:
        done = self.manager.run(
            *(sys.executable, "-c", code, *arguments),
            environment={"FATHOM_HOME": str(self.home)},
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def deploy_files(self) -> None:
        """Make an engagement and a serving folder, as a run does, and no server."""
        gguf = self.manager.root / "model.gguf"
        shutil.copyfile(embedded_gguf(), gguf)
        self.manager.give(self.manager.root)
        self.python(
            "import sys; from pathlib import Path\n"
            "from fathom_tui.store import Home, Store\n"
            "from fathom_tui.runner.llama_target import LlamaCppTarget\n"
            "from fathom_tui.serving import ServingSpec\n"
            "home = Home.from_env().prepare()\n"
            f"slug = Store(home).create_engagement('Acme', {{'input': 'text'}}, {SLUG!r})\n"
            "target = LlamaCppTarget(home.data / 'serving' / slug, slug)\n"
            "for sha in ('b' * 64, 'c' * 64):\n"
            "    spec = ServingSpec(sha256=sha, system='', n_ctx=512, threads=1,"
            " max_new_tokens=8)\n"
            "    target.create(Path(sys.argv[1]), spec)\n",
            str(gguf),
        )

    def activate(self, version: str) -> None:
        self.python(
            "import sys\n"
            "from fathom_tui.store import Home\n"
            "from fathom_tui.runner.llama_target import LlamaCppTarget\n"
            f"root = Home.from_env().data / 'serving' / {SLUG!r}\n"
            f"LlamaCppTarget(root, {SLUG!r}).activate(sys.argv[1])\n",
            version,
        )

    def served(self) -> dict[str, Any]:
        done = self.fathom("serve", SLUG, "--status", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pid(self, unit: str) -> int:
        return int(self.manager.show(unit, "MainPID")["MainPID"])

    def is_active(self, unit: str) -> bool:
        return self.manager.show(unit, "ActiveState")["ActiveState"] == "active"

    def is_back(self, unit: str, pid: int) -> bool:
        return self.is_active(unit) and self.pid(unit) not in (0, pid)

    def override(self, unit: str, *lines: str) -> None:
        """Change a unit for one test, as `systemctl edit` does."""
        self.manager.install(f"{unit}.d/test.conf", "\n".join(lines) + "\n")

    def restore(self, unit: str) -> None:
        shutil.rmtree(self.manager.units / f"{unit}.d", ignore_errors=True)
        self.manager.systemctl("daemon-reload")

    def checks(self) -> list[Any]:
        """Return the checks in the ledger."""
        code = "import json; from fathom_tui.store import Home, Store\n"
        code += "print(json.dumps(Store(Home.from_env()).checks()))"
        found: list[Any] = json.loads(self.python(code))
        return found

    def status(self) -> dict[str, Any]:
        done = self.fathom("runner", "status", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def unit(self, name: str) -> dict[str, Any]:
        return next(unit for unit in self.status()["units"] if unit["name"] == name)
