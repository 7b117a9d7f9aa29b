"""An integration that is paused runs nothing; one that the vendor refuses says why."""


def test_a_paused_integration_waits_until_it_is_resumed(stack):
    """Its job stays queued while others, enqueued later, run past it."""
    desk = stack.vendor("pylon", issues=60, messages=0)
    job = stack.pull(desk)
    stack.cli("integration", "pause", desk.integration)
    stack.scheduler()
    stack.worker()
    for _ in range(5):
        stack.wait_job(stack.noop())
    assert stack.job(job).state == "queued" and stack.job(job).epoch == 0
    assert desk.calls() == 0
    refused = stack.run_cli("pull", desk.integration)
    assert refused.returncode != 0 and "paused" in refused.stderr, refused.stderr
    stack.cli("integration", "resume", desk.integration)
    stack.wait_job(job, timeout=20)
    stack.assert_true_to(desk, "issues")


def test_a_token_of_the_wrong_region_is_refused_for_good(stack):
    """No retry mends it: the integration is refused with the reason, and its token is nowhere to be read."""
    desk = stack.vendor("pylon", region="us", given_token="eu-very-secret-token")
    stack.scheduler()
    stack.worker()
    job = stack.pull(desk)
    row = stack.wait(lambda: next(iter(stack.sql("SELECT * FROM integrations WHERE id = %s AND state = 'refused'", desk.id)), None),
                     what="the integration is refused")
    assert "region" in row.state_reason
    stack.wait(lambda: stack.job(job).state != "running", what="the job is settled")
    (attempt,) = [a for a in stack.sync_log(job)]
    assert "region" in attempt.error
    assert desk.calls() <= 2
    for name, text in stack.logs(lines=10000):
        assert "eu-very-secret-token" not in text, name
    everything = stack.sql("SELECT string_agg(j::text, ' ') AS t FROM jobs j")[0].t + stack.sql("SELECT string_agg(n::text, ' ') AS t FROM integrations n")[0].t
    assert "eu-very-secret-token" not in everything
    assert b"eu-very-secret-token".hex() not in everything


def test_a_wrong_token_is_refused(stack):
    desk = stack.vendor("pylon", given_token="not-the-token")
    stack.scheduler()
    stack.worker()
    stack.pull(desk)
    stack.wait(lambda: stack.sql("SELECT 1 FROM integrations WHERE id = %s AND state = 'refused'", desk.id), what="the integration is refused")
    stack.wait_job(stack.noop())
