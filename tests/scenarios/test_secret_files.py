"""Every secret may stand in a file: `@/run/secrets/...` in place of the value. Nothing of it shows in an environment, a log or an error."""
import pathlib

import stack as harness


def files(folder, **secrets):
    """Variables that name files instead of holding values; each file as an editor leaves it."""
    for name, value in secrets.items():
        (folder / name).write_text(f"{value}\n")
    return {name: f"@{folder / name}" for name in secrets}


def test_a_whole_stack_takes_its_secrets_from_files(stack, tmp_path):
    named = files(tmp_path, DATABASE_URL=stack.database_url, REDIS_URL=stack.redis().url, DESKMILL_KEY=stack.seal_key, DESKMILL_API_KEY=stack.api_key)
    env = {**harness.base_env(), **named}
    assert "nothing to do" in harness.migrate(named["DATABASE_URL"]).stdout
    api = stack.api(env=env)
    desk = stack.vendor("pylon", issues=20, messages=0)
    stack.start("deskmill-scheduler", env=env)
    worker = stack.start("deskmill-worker", env=env)
    job = stack.cli("pull", desk.integration, env={**env, "DESKMILL_API_URL": api.url}).job
    stack.wait_job(job)
    stack.idle()
    stack.assert_true_to(desk, "issues")
    for proc in (api, worker):
        shown = pathlib.Path(f"/proc/{proc.pid}/environ").read_text() + proc.log_text()
        for secret in (stack.database_url, stack.seal_key, stack.api_key):
            assert secret not in shown


def test_a_vendors_token_may_stand_in_a_file(stack, tmp_path):
    desk = stack.vendor("pylon", issues=10, messages=0, token="right-token")
    env = stack.env(**files(tmp_path, DESKMILL_VENDOR_TOKEN="right-token"))
    stack.cli("integration", "add", "acme/second", "--vendor", "pylon", "--base-url", desk.url, "--schedule", "", env=env)
    stack.cli("integration", "add", "acme/third", "--vendor", "pylon", "--base-url", desk.url, "--schedule", "",
              "--token", env["DESKMILL_VENDOR_TOKEN"])
    stack.scheduler()
    stack.worker()
    for name in ("acme/second", "acme/third"):
        stack.wait_job(stack.cli("pull", name).job)


def test_a_database_url_that_is_none_is_not_shown(stack, tmp_path):
    named = files(tmp_path, DATABASE_URL="hunter2 that someone put into the wrong file")
    done = harness.migrate(named["DATABASE_URL"], check=False)
    assert done.returncode == 2 and "hunter2" not in done.stderr, done.stderr
