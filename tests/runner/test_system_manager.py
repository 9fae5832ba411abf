"""Our system units, with all of their sandbox, under a real systemd as process 1."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.units import AGENT, HEALTH, HEALTH_TIMER
from tests.system_manager import HOME, PYTHON, UID, SystemManager, system_manager, why_not
from tests.user_manager import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be tested"),
]

SLUG = "acme-triage"
SERVE = f"fathom-serve-{SLUG}.service"
OUT = HOME / "out.json"
LOOK = f"""
import json, os, socket
from pathlib import Path

def may(path):
    try:
        Path(path, "fathom-probe").write_text("x")
    except OSError:
        return False
    Path(path, "fathom-probe").unlink()
    return True

status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
found = {{
    "writes": [p for p in ("/usr", "/etc", "/opt", "/var/lib", "/tmp", {str(HOME)!r}) if may(p)],
    "uid": os.getuid(),
    "capabilities": int(status["CapBnd"], 16),
    "umask": status["Umask"].strip(),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "roots_processes": [
        p.name for p in Path("/proc").iterdir() if p.name.isdigit() and p.stat().st_uid == 0
    ],
    "own_processes": len([p for p in Path("/proc").iterdir() if p.name.isdigit()]),
    "devices": sorted(p.name for p in Path("/dev").iterdir()),
    "sees_root": os.access("/root", os.R_OK | os.X_OK),
}}
Path({str(OUT)!r}).write_text(json.dumps(found))
"""
TRAIN = f"""
import json
from pathlib import Path
import torch
torch.manual_seed(0)
layers = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 2))
optimizer = torch.optim.AdamW(layers.parameters(), lr=1e-2)
losses = []
for step in range(8):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layers(torch.ones(32, 64))
    loss = torch.nn.functional.cross_entropy(out.float(), torch.zeros(32, dtype=torch.long))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
Path({str(OUT)!r}).write_text(json.dumps(losses))
"""
ACTIVATE = f"""
import json
from pathlib import Path
from fathom_tui.runner.llama_target import LlamaCppTarget
root = Path({str(HOME)!r}) / "data" / "serving" / {SLUG!r}
target = LlamaCppTarget(root, {SLUG!r})
target.activate("v2")
answer = target.ask([{{"role": "user", "content": "hello"}}], max_tokens=2)
Path({str(OUT)!r}).write_text(json.dumps([target.live, target.url, answer.text]))
"""


@pytest.fixture(scope="module")
def manager() -> Iterator[SystemManager]:
    with system_manager() as manager:
        yield manager


@pytest.fixture(scope="module")
def installed(manager: SystemManager) -> SystemManager:
    """Return a machine on which root has installed the units, and a version is kept."""
    done = manager.fathom("runner", "install", "--system", "--cpu")
    assert done.returncode == 0, done.stderr
    gguf = manager.path(HOME / "model.gguf")
    shutil.copyfile(embedded_gguf(), gguf)
    os.chown(gguf, UID, UID)
    manager.python(
        "from pathlib import Path\n"
        "from fathom_tui.store import Home, Store\n"
        "from fathom_tui.runner.llama_target import LlamaCppTarget\n"
        "from fathom_tui.serving import ServingSpec\n"
        "home = Home.from_env()\n"
        f"slug = Store(home).create_engagement('Acme', {{'input': 'text'}}, {SLUG!r})\n"
        "target = LlamaCppTarget(home.data / 'serving' / slug, slug)\n"
        "for sha in ('b' * 64, 'c' * 64):\n"
        "    spec = ServingSpec(sha256=sha, system='', n_ctx=512, threads=1, max_new_tokens=8)\n"
        f"    target.create(Path({str(HOME / 'model.gguf')!r}), spec)\n"
        "(target._root / 'live.gguf').symlink_to('v1.gguf')\n"
    )
    done = manager.fathom("runner", "install", "--system", "--cpu")
    assert done.returncode == 0, done.stderr
    return manager


def inside(manager: SystemManager, unit: str, code: str) -> Any:
    """Run Python with all directives of a unit, and return what it wrote."""
    script = manager.path(HOME / "script.py")
    script.write_text(code, "utf-8")
    script.chmod(0o644)
    name = unit.replace("fathom-", "fathom-like-")
    text = manager.path(f"/etc/systemd/system/{unit}").read_text("utf-8")
    kept = [
        line
        for line in text.splitlines()
        if not line.startswith(("ExecStart", "Type=", "NotifyAccess", "WatchdogSec", "Restart"))
    ]
    line = f"Type=oneshot\nExecStart={PYTHON} -P {HOME}/script.py"
    place = manager.path(f"/etc/systemd/system/{name}")
    place.write_text("\n".join(kept).replace("[Service]", f"[Service]\n{line}"), "utf-8")
    out = manager.path(OUT)
    out.unlink(missing_ok=True)
    manager.systemctl("daemon-reload")
    said = manager.systemctl("start", name)
    assert out.exists(), f"{said} {manager.systemctl('status', name)}"
    return json.loads(out.read_text("utf-8"))


def test_root_installs_and_the_services_run_as_their_account(installed: SystemManager) -> None:
    status = installed.fathom("runner", "status", "--system", "--json")

    found = {unit["name"]: unit for unit in json.loads(status.stdout)["units"]}
    assert status.returncode == 0
    assert set(found) == {AGENT, HEALTH, HEALTH_TIMER, SERVE}
    assert {found[name]["active"] for name in (AGENT, HEALTH_TIMER, SERVE)} == {"active"}
    assert found[AGENT]["status"] == "waits for work"
    assert found[SERVE]["status"].startswith("v1 at http://127.0.0.1:")
    for name in (AGENT, SERVE):
        pid = found[name]["pid"]
        assert installed.path(f"/proc/{pid}").stat().st_uid == UID
    assert json.loads(status.stdout)["lingers"] is None


@pytest.mark.parametrize("unit", [AGENT, HEALTH])
def test_a_service_sees_and_writes_what_is_its_own(installed: SystemManager, unit: str) -> None:
    found = inside(installed, unit, LOOK)

    assert found["writes"] == ["/tmp", str(HOME)]
    assert (found["uid"], found["capabilities"], found["umask"]) == (UID, 0, "0077")
    assert found["no_new_privileges"] == 1
    assert found["roots_processes"] == []
    assert "sda" not in found["devices"] and "vda" not in found["devices"]
    assert {"null", "urandom"} <= set(found["devices"])
    # Homes stay visible, and no more than that, where the interpreter is installed in one.
    assert found["sees_root"] is sys.base_prefix.startswith("/root")


def test_torch_trains_inside_the_agents_sandbox(installed: SystemManager) -> None:
    losses = inside(installed, AGENT, TRAIN)

    assert losses[-1] < losses[0]


def test_the_agent_activates_a_version_that_the_servers_unit_then_serves(
    installed: SystemManager,
) -> None:
    live, url, answer = inside(installed, AGENT, ACTIVATE)

    assert live == "v2"
    assert answer
    assert installed.show(SERVE, "StatusText")["StatusText"] == f"v2 at {url}"


def test_a_server_that_is_killed_is_started_again(installed: SystemManager) -> None:
    before = installed.show(SERVE, "MainPID")["MainPID"]

    installed.systemctl("kill", "--signal=KILL", SERVE)

    def is_back() -> bool:
        now = installed.show(SERVE, "MainPID", "ActiveState")
        return now["ActiveState"] == "active" and now["MainPID"] not in ("0", before)

    wait_for("the next server", is_back)


def test_uninstalling_leaves_the_data(installed: SystemManager) -> None:
    done = installed.fathom("runner", "uninstall", "--system")

    assert done.returncode == 0, done.stderr
    left = [p.name for p in installed.path("/etc/systemd/system").glob("fathom-*")]
    assert not [name for name in left if not name.startswith(("fathom-like-", "fathom-test"))]
    assert installed.path(HOME / "data" / "serving" / SLUG / "v2.gguf").exists()
