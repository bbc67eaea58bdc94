"""Ask OpenSSH what it makes of the configurations in cases.toml, and write answers.json.

    python tests/data/ssh_config/make_answers.py

It needs rights to mount, since the names of hosts of a case (`names`) are told by another /etc/hosts. `ssh -G` prints
the options, but those of keys without their tokens: `ssh -v` shows the files that it looks for.
"""

import json
import os
import pwd
import re
import socket
import subprocess
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
OPTIONS = (
    "hostname", "user", "port", "hostkeyalias", "identitiesonly", "identityagent", "userknownhostsfile",
    "globalknownhostsfile", "proxyjump", "proxycommand", "preferredauthentications",
    "connecttimeout", "addressfamily", "pubkeyauthentication",
)  # fmt: skip


def ask(case: dict, folder: Path) -> dict:
    for name, text in {"config": case["config"], **case.get("files", {})}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("FOLDER", str(folder)), newline="")
    hosts = folder / "hosts"
    names = [f"192.0.2.1 {canonical} {name}" for name, canonical in case.get("names", {}).items()]
    hosts.write_text("\n".join(["127.0.0.1 localhost", *names, ""]))
    mounted = 'mount --bind "$0" /etc/hosts && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mounted, str(hosts), "ssh", "-F", str(folder / "config")]
    words += ["-l", case["user"]] if "user" in case else []
    words += ["-p", str(case["port"])] if "port" in case else []
    environment = os.environ | {"SHELL": "/bin/sh"} | case.get("environment", {})
    environment.pop("SSH_AUTH_SOCK", None)
    run = {"capture_output": True, "text": True, "env": environment, "stdin": subprocess.DEVNULL}
    printed = subprocess.run([*words, "-G", case["host"]], check=True, **run).stdout
    lines = [line.partition(" ") for line in printed.splitlines()]
    answer = {key: value for key, _, value in lines if key in OPTIONS}
    # A proxy that ends at once, so that nothing is connected to; a later one does not count.
    verbose = subprocess.run([*words, "-v", "-o", "ProxyCommand=false", case["host"], "true"], check=False, **run)
    keys = re.findall(r"identity file (.*) type -?\d+$", verbose.stderr, re.MULTILINE)
    answer["keys"] = [key for key in keys if not key.endswith("-cert")]
    answer["ran"] = (folder / "ran").exists()
    return answer


def neutral(text: str, folder: Path) -> str:
    """Return *text* without what is of this computer."""
    text = text.replace(str(folder), "FOLDER").replace(pwd.getpwuid(os.getuid()).pw_dir, "HOME")
    return text.replace(socket.gethostname(), "LOCAL").replace(socket.gethostname().split(".")[0], "LOCAL")


def main() -> None:
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.strip()
    answers = {"version": version, "user": pwd.getpwuid(os.getuid()).pw_name}
    for name, case in tomllib.loads((HERE / "cases.toml").read_text()).items():
        with tempfile.TemporaryDirectory() as folder:
            answers[name] = json.loads(neutral(json.dumps(ask(case, Path(folder))), Path(folder)))
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
