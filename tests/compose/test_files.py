"""What can be said of the files under docker/ without an engine."""
import re
import subprocess

import engine

DOCKERFILE = (engine.ROOT / "docker" / "Dockerfile").read_text()


def test_what_the_toolchain_installs_is_on_the_list_in_dev():
    stage = DOCKERFILE[DOCKERFILE.index(" AS toolchain"):DOCKERFILE.index(" AS build")]
    wanted = set(re.search(r"--no-install-recommends(.*?)&&", stage.replace("\\\n", " "), re.S)[1].split())
    listed = set(re.findall(r"^([a-z0-9.+-]+) {2,}\S", (engine.ROOT / "dev").read_text(), re.M))
    assert wanted and wanted <= listed, f"not in ./dev: {sorted(wanted - listed)}"


def test_secrets_are_made_once_and_only_their_folder_keeps_others_out(tmp_path):
    script, folder = engine.ROOT / "docker" / "secrets.sh", tmp_path / "secrets"
    engine.run(script, folder)
    made = {f.name: f.read_text() for f in folder.iterdir()}
    assert set(made) == {"postgres_password", "database_url", "redis.conf", "redis_url", "seal_key", "api_key"}
    assert folder.stat().st_mode & 0o777 == 0o700 and all(f.stat().st_mode & 0o777 == 0o444 for f in folder.iterdir())
    assert made["postgres_password"].strip() in made["database_url"] and made["redis.conf"].split()[1] in made["redis_url"]
    assert len(set(made.values())) == len(made) and re.fullmatch(r"[0-9a-f]{64}\n", made["seal_key"])
    (folder / "api_key").unlink()
    engine.run(script, folder)
    again = {f.name: f.read_text() for f in folder.iterdir()}
    assert again.pop("api_key") != made.pop("api_key") and again == made, "only what was missing is made anew"


def test_no_secret_can_get_into_an_image_or_into_git():
    ignored = subprocess.run(["git", "-C", engine.ROOT, "check-ignore", "docker/secrets/seal_key"], stdin=subprocess.DEVNULL, capture_output=True)
    assert ignored.returncode == 0
    lines = [line for line in (engine.ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and "!docker/first-pull.sh" in lines
    assert not {"!docker", "!docker/secrets", "!.", "!*"} & set(lines)
