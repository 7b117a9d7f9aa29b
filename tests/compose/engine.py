"""engine - a Docker engine with a compose command and the base images, or the reason why there is none.

Where no engine runs or no registry can be reached, a script beside the repository makes what is missing: DESKMILL_DOCKER_BASE says where it
is, ../shared/docker-base/build.sh if nothing else is said.
"""
import functools
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASES = ["debian:bookworm-slim", "postgres:15", "redis:7"]
PULL_S, MAKE_S = 120, 900


class NoEngine(Exception):
    pass


def run(*argv, timeout=60, check=True, env=None):
    """What the command printed. A failure shows what it said."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=env)
    assert not check or done.returncode == 0, f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def works(*argv, timeout=60):
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _make(why):
    """Runs the script, which makes all that is missing; a second time, should the first have met someone else's apt-get."""
    script = pathlib.Path(os.environ.get("DESKMILL_DOCKER_BASE") or ROOT.parent / "shared" / "docker-base" / "build.sh")
    if not script.exists():
        raise NoEngine(f"{why}, and there is no script to make it (DESKMILL_DOCKER_BASE)")
    if os.geteuid() != 0:
        raise NoEngine(f"{why}, and making it takes root")
    said = ""
    for _ in range(2):
        try:
            done = subprocess.run([script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=MAKE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoEngine(f"{why}, and making it failed: {error}") from None
        if done.returncode == 0:
            return
        said = done.stdout.strip()[-500:]
    raise NoEngine(f"{why}, and making it failed: {said or done.returncode}")


@functools.lru_cache
def compose_command():
    """Compose v2 where there is one; DESKMILL_COMPOSE chooses."""
    chosen = os.environ.get("DESKMILL_COMPOSE", "").split()
    for command in [chosen] if chosen else (["docker", "compose"], ["docker-compose"]):
        if works(*command, "version"):
            return command
    return None


def have(image):
    return works("docker", "image", "inspect", image)


def prepare():
    """After it, there are an engine, a compose command and the base images. Raises NoEngine with the reason why not."""
    if not works("docker", "info"):
        _make("no Docker engine answers")
    if compose_command() is None:
        compose_command.cache_clear()
        _make("there is no docker-compose")
    for image in BASES:
        if not have(image) and not works("docker", "pull", "-q", image, timeout=PULL_S):
            _make(f"{image} cannot be pulled")
    if not works("docker", "info") or compose_command() is None or not all(map(have, BASES)):
        raise NoEngine("the script has run, and the engine, docker-compose or a base image is still missing")


def build_network():
    """Images that were made here and not pulled mean a machine whose containers may not reach what the machine reaches."""
    pulled = run("docker", "image", "inspect", BASES[0], "--format", "{{len .RepoDigests}}").strip() != "0"
    return os.environ.get("DESKMILL_BUILD_NETWORK") or ("default" if pulled else "host")
