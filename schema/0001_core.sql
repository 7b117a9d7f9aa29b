-- 0001: who is served, what is to be done, and who does it. Postgres is the truth; Redis only holds ids of queued jobs.

CREATE TABLE deskmill.organizations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name       text NOT NULL,
    timezone   text NOT NULL DEFAULT 'America/New_York',
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE deskmill.organizations IS 'Tenants. Dates and hours of an organization''s figures are local to its timezone.';
COMMENT ON COLUMN deskmill.organizations.id IS 'Key.';
COMMENT ON COLUMN deskmill.organizations.name IS 'Name for people.';
COMMENT ON COLUMN deskmill.organizations.created_at IS 'When it was added.';
COMMENT ON COLUMN deskmill.organizations.slug IS 'Short name used in commands and addresses.';
COMMENT ON COLUMN deskmill.organizations.timezone IS 'IANA zone.';

CREATE TABLE deskmill.integrations (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES deskmill.organizations,
    name            text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    vendor          text NOT NULL,
    base_url        text NOT NULL,
    credentials     bytea NOT NULL,
    settings        jsonb NOT NULL DEFAULT '{}',
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'refused')),
    state_reason    text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);
COMMENT ON TABLE deskmill.integrations IS 'One help desk of one organization.';
COMMENT ON COLUMN deskmill.integrations.id IS 'Key.';
COMMENT ON COLUMN deskmill.integrations.organization_id IS 'Whose help desk it is.';
COMMENT ON COLUMN deskmill.integrations.name IS 'Short name, unique within the organization.';
COMMENT ON COLUMN deskmill.integrations.vendor IS 'pylon ...';
COMMENT ON COLUMN deskmill.integrations.base_url IS 'Where the vendor''s API is.';
COMMENT ON COLUMN deskmill.integrations.state_reason IS 'Why it is not active.';
COMMENT ON COLUMN deskmill.integrations.created_at IS 'When it was added.';
COMMENT ON COLUMN deskmill.integrations.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN deskmill.integrations.credentials IS 'The vendor''s token, sealed (libsodium secretbox) under a key that is not in this database.';
COMMENT ON COLUMN deskmill.integrations.settings IS 'page_size, lookback_s, settle_s, directory_refresh_s, limits {class: calls per minute}.';
COMMENT ON COLUMN deskmill.integrations.state IS 'active; paused by a person; refused: the vendor does not accept the credentials. Jobs run only while active.';

CREATE TABLE deskmill.schedules (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration_id  bigint REFERENCES deskmill.integrations ON DELETE CASCADE,
    organization_id bigint REFERENCES deskmill.organizations ON DELETE CASCADE,
    kind            text NOT NULL,
    args            jsonb NOT NULL DEFAULT '{}',
    cron            text NOT NULL,
    timezone        text NOT NULL,
    misfire         text NOT NULL DEFAULT 'run_once' CHECK (misfire IN ('run_once', 'run_all', 'skip')),
    misfire_window  interval NOT NULL DEFAULT '1 hour',
    overlap         text NOT NULL DEFAULT 'keep_one' CHECK (overlap IN ('keep_one', 'skip')),
    enabled         boolean NOT NULL DEFAULT true,
    next_tick       timestamptz,
    last_tick       timestamptz,
    error           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE deskmill.schedules IS 'Cron schedules; the scheduler turns their ticks into jobs.';
COMMENT ON COLUMN deskmill.schedules.id IS 'Key.';
COMMENT ON COLUMN deskmill.schedules.integration_id IS 'What it is about.';
COMMENT ON COLUMN deskmill.schedules.organization_id IS 'What it is about, if not one integration.';
COMMENT ON COLUMN deskmill.schedules.kind IS 'Kind of job it makes.';
COMMENT ON COLUMN deskmill.schedules.args IS 'Arguments of its jobs.';
COMMENT ON COLUMN deskmill.schedules.cron IS 'Five fields, or @hourly and friends.';
COMMENT ON COLUMN deskmill.schedules.timezone IS 'IANA zone that the fields are read in.';
COMMENT ON COLUMN deskmill.schedules.misfire_window IS 'How far back run_all goes.';
COMMENT ON COLUMN deskmill.schedules.enabled IS 'Whether it makes jobs.';
COMMENT ON COLUMN deskmill.schedules.last_tick IS 'The newest tick that was dealt with.';
COMMENT ON COLUMN deskmill.schedules.created_at IS 'When it was added.';
COMMENT ON COLUMN deskmill.schedules.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN deskmill.schedules.misfire IS 'What becomes of ticks missed while no scheduler ran: one run for all of them, a run for each within misfire_window, none.';
COMMENT ON COLUMN deskmill.schedules.overlap IS 'When the last job still waits or runs: keep_one follow-up, or skip the tick.';
COMMENT ON COLUMN deskmill.schedules.next_tick IS 'The next due moment; null: not computed yet.';
COMMENT ON COLUMN deskmill.schedules.error IS 'Why this schedule cannot run; it is left alone until it is changed.';
CREATE INDEX schedules_due ON deskmill.schedules (next_tick) WHERE enabled AND error IS NULL;
CREATE INDEX schedules_integration ON deskmill.schedules (integration_id);
CREATE INDEX schedules_organization ON deskmill.schedules (organization_id);

CREATE TYPE deskmill.job_state AS ENUM ('scheduled', 'queued', 'running', 'done', 'dead', 'cancelled');

CREATE TABLE deskmill.workers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    slots      integer NOT NULL,
    version    text NOT NULL,
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'stopped', 'dead')),
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);
COMMENT ON TABLE deskmill.workers IS 'Worker processes. A live one holds the session advisory lock (17485, id) and moves beat_at.';
COMMENT ON COLUMN deskmill.workers.id IS 'Key; a worker that was given up registers anew.';
COMMENT ON COLUMN deskmill.workers.host IS 'Host name.';
COMMENT ON COLUMN deskmill.workers.pid IS 'Process id of the parent.';
COMMENT ON COLUMN deskmill.workers.slots IS 'Jobs it runs at a time.';
COMMENT ON COLUMN deskmill.workers.version IS 'Version of the program.';
COMMENT ON COLUMN deskmill.workers.state IS 'active; draining: takes no more jobs; stopped by itself; dead: given up by the reaper.';
COMMENT ON COLUMN deskmill.workers.started_at IS 'When it registered.';
COMMENT ON COLUMN deskmill.workers.beat_at IS 'Its last sign of life.';
COMMENT ON COLUMN deskmill.workers.ended_at IS 'When it stopped or was given up.';
CREATE INDEX workers_live ON deskmill.workers (beat_at) WHERE state IN ('active', 'draining');

CREATE TABLE deskmill.jobs (
    id               bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL,
    queue            text NOT NULL CHECK (queue IN ('live', 'default', 'bulk')),
    priority         smallint NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 2),
    state            deskmill.job_state NOT NULL,
    integration_id   bigint REFERENCES deskmill.integrations,
    parent_id        bigint REFERENCES deskmill.jobs,
    schedule_id      bigint,
    tick             timestamptz,
    origin           text NOT NULL,
    args             jsonb NOT NULL DEFAULT '{}',
    lock_key         text,
    dedupe_key       text,
    epoch            integer NOT NULL DEFAULT 0,
    worker_id        bigint,
    attempt          integer NOT NULL DEFAULT 0,
    max_attempts     integer NOT NULL CHECK (max_attempts > 0),
    crashes          integer NOT NULL DEFAULT 0,
    losses           integer NOT NULL DEFAULT 0,
    timeout_s        integer NOT NULL CHECK (timeout_s > 0),
    cancel_requested boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT now(),
    run_at           timestamptz DEFAULT now(),
    queued_at        timestamptz,
    started_at       timestamptz,
    progress_at      timestamptz,
    ended_at         timestamptz,
    checkpoint       jsonb,
    progress         jsonb,
    error            text,
    folded_into      bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE deskmill.jobs IS 'Every unit of work. States and who moves them: schema/README.md.';
COMMENT ON COLUMN deskmill.jobs.id IS 'Key.';
COMMENT ON COLUMN deskmill.jobs.kind IS 'What is to be done: common/jobkind.def.';
COMMENT ON COLUMN deskmill.jobs.queue IS 'live, default or bulk.';
COMMENT ON COLUMN deskmill.jobs.state IS 'scheduled, queued, running, done, dead or cancelled.';
COMMENT ON COLUMN deskmill.jobs.integration_id IS 'What it is about.';
COMMENT ON COLUMN deskmill.jobs.parent_id IS 'The job that waits for this one.';
COMMENT ON COLUMN deskmill.jobs.tick IS 'The tick it was made for.';
COMMENT ON COLUMN deskmill.jobs.origin IS 'Who asked: api, cli, schedule, job.';
COMMENT ON COLUMN deskmill.jobs.args IS 'What exactly is to be done.';
COMMENT ON COLUMN deskmill.jobs.max_attempts IS 'Failures after which it is dead.';
COMMENT ON COLUMN deskmill.jobs.timeout_s IS 'Seconds after which its process is killed.';
COMMENT ON COLUMN deskmill.jobs.cancel_requested IS 'Someone wants it to end at its next page.';
COMMENT ON COLUMN deskmill.jobs.created_at IS 'When it was enqueued.';
COMMENT ON COLUMN deskmill.jobs.queued_at IS 'When it last came to wait for a worker.';
COMMENT ON COLUMN deskmill.jobs.started_at IS 'When it was last claimed.';
COMMENT ON COLUMN deskmill.jobs.progress_at IS 'When it last committed something.';
COMMENT ON COLUMN deskmill.jobs.ended_at IS 'When it was done, dead or cancelled.';
COMMENT ON COLUMN deskmill.jobs.error IS 'Why the last attempt did not succeed.';
COMMENT ON COLUMN deskmill.jobs.priority IS '0 before 1 before 2, within one integration''s turn in its queue.';
COMMENT ON COLUMN deskmill.jobs.lock_key IS 'At most one running job per key.';
COMMENT ON COLUMN deskmill.jobs.dedupe_key IS 'At most one waiting (scheduled or queued) job per key.';
COMMENT ON COLUMN deskmill.jobs.epoch IS 'Raised by each claim; every write of a worker must carry the current one.';
COMMENT ON COLUMN deskmill.jobs.attempt IS 'Failures charged so far. Drains, snoozes and lost workers are not charged.';
COMMENT ON COLUMN deskmill.jobs.crashes IS 'Children this job has crashed since it last made progress; at 3 it is dead.';
COMMENT ON COLUMN deskmill.jobs.losses IS 'Workers lost under this job since it last made progress; at 10 it is dead.';
COMMENT ON COLUMN deskmill.jobs.schedule_id IS 'The schedule whose tick it is; no foreign key, so that a schedule can go without a look at every job.';
COMMENT ON COLUMN deskmill.jobs.worker_id IS 'Who runs it now; no foreign key, as above.';
COMMENT ON COLUMN deskmill.jobs.folded_into IS 'This job never ran: that one, which was under way and came back to wait, does its work too.';
COMMENT ON COLUMN deskmill.jobs.run_at IS 'Not before this moment; null: a parent that waits for its children.';
COMMENT ON COLUMN deskmill.jobs.checkpoint IS 'Where to go on: the whole frozen query, written with each page.';
COMMENT ON COLUMN deskmill.jobs.progress IS 'Counts of this job so far: pages, fetched, inserted, updated, unchanged, stale, ...';
CREATE UNIQUE INDEX jobs_lock ON deskmill.jobs (lock_key) WHERE state = 'running' AND lock_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_dedupe ON deskmill.jobs (dedupe_key) WHERE state IN ('scheduled', 'queued') AND dedupe_key IS NOT NULL;
CREATE INDEX jobs_queued ON deskmill.jobs (queue, priority, id) INCLUDE (integration_id, lock_key) WHERE state = 'queued';
CREATE INDEX jobs_blocked ON deskmill.jobs (lock_key, priority, id) WHERE state = 'queued' AND lock_key IS NOT NULL;
CREATE INDEX jobs_due ON deskmill.jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON deskmill.jobs (worker_id) WHERE state = 'running';
CREATE INDEX jobs_parent ON deskmill.jobs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX jobs_of_integration ON deskmill.jobs (integration_id, id);
CREATE INDEX jobs_of_schedule ON deskmill.jobs (schedule_id) WHERE schedule_id IS NOT NULL AND state IN ('scheduled', 'queued', 'running');
CREATE INDEX jobs_ended ON deskmill.jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_dead ON deskmill.jobs (id) WHERE state = 'dead';

CREATE TABLE deskmill.schedule_ticks (
    schedule_id bigint NOT NULL REFERENCES deskmill.schedules ON DELETE CASCADE,
    tick        timestamptz NOT NULL,
    job_id      bigint,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule_id, tick)
);
COMMENT ON TABLE deskmill.schedule_ticks IS 'One row per tick that was dealt with, however many schedulers run; outlives its job.';
COMMENT ON COLUMN deskmill.schedule_ticks.schedule_id IS 'The schedule.';
COMMENT ON COLUMN deskmill.schedule_ticks.tick IS 'The due moment.';
COMMENT ON COLUMN deskmill.schedule_ticks.created_at IS 'When it was dealt with.';
COMMENT ON COLUMN deskmill.schedule_ticks.job_id IS 'The job it became, or the waiting one it was folded into; null: skipped.';
CREATE INDEX schedule_ticks_created ON deskmill.schedule_ticks (created_at);

CREATE TABLE deskmill.sync_log (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id         bigint NOT NULL,
    epoch          integer NOT NULL,
    integration_id bigint REFERENCES deskmill.integrations,
    kind           text NOT NULL,
    worker_id      bigint,
    outcome        text NOT NULL DEFAULT 'running'
                   CHECK (outcome IN ('running', 'done', 'retry', 'snoozed', 'drained', 'dead', 'cancelled', 'crashed', 'timeout', 'lost')),
    started_at     timestamptz NOT NULL DEFAULT now(),
    ended_at       timestamptz,
    window_from    timestamptz,
    window_to      timestamptz,
    requests       bigint NOT NULL DEFAULT 0,
    bytes          bigint NOT NULL DEFAULT 0,
    pages          bigint NOT NULL DEFAULT 0,
    fetched        bigint NOT NULL DEFAULT 0,
    inserted       bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT 0,
    unchanged      bigint NOT NULL DEFAULT 0,
    stale          bigint NOT NULL DEFAULT 0,
    rejected       bigint NOT NULL DEFAULT 0,
    unknown        jsonb,
    error          text,
    UNIQUE (job_id, epoch)
);
COMMENT ON TABLE deskmill.sync_log IS 'One row per attempt that touched a vendor. fetched = inserted + updated + unchanged + stale + rejected.';
COMMENT ON COLUMN deskmill.sync_log.id IS 'Key.';
COMMENT ON COLUMN deskmill.sync_log.job_id IS 'The job.';
COMMENT ON COLUMN deskmill.sync_log.epoch IS 'Which of its attempts.';
COMMENT ON COLUMN deskmill.sync_log.integration_id IS 'What it was about.';
COMMENT ON COLUMN deskmill.sync_log.kind IS 'Kind of the job.';
COMMENT ON COLUMN deskmill.sync_log.worker_id IS 'Who ran it.';
COMMENT ON COLUMN deskmill.sync_log.outcome IS 'How the attempt ended.';
COMMENT ON COLUMN deskmill.sync_log.started_at IS 'When it was claimed.';
COMMENT ON COLUMN deskmill.sync_log.ended_at IS 'When it was written back.';
COMMENT ON COLUMN deskmill.sync_log.window_from IS 'Beginning of the span of time it read.';
COMMENT ON COLUMN deskmill.sync_log.window_to IS 'End of that span.';
COMMENT ON COLUMN deskmill.sync_log.requests IS 'Calls to the vendor.';
COMMENT ON COLUMN deskmill.sync_log.bytes IS 'Bytes received, before inflating.';
COMMENT ON COLUMN deskmill.sync_log.pages IS 'Pages written.';
COMMENT ON COLUMN deskmill.sync_log.fetched IS 'Records the pages held.';
COMMENT ON COLUMN deskmill.sync_log.inserted IS 'Rows that were new.';
COMMENT ON COLUMN deskmill.sync_log.updated IS 'Rows that had changed.';
COMMENT ON COLUMN deskmill.sync_log.unchanged IS 'Rows that were as they should be, and records that came twice in a page.';
COMMENT ON COLUMN deskmill.sync_log.error IS 'Why it did not succeed.';
COMMENT ON COLUMN deskmill.sync_log.stale IS 'Rows that were older than what the table already held, and so were left alone.';
COMMENT ON COLUMN deskmill.sync_log.rejected IS 'Records that could not be read (no id, say).';
COMMENT ON COLUMN deskmill.sync_log.unknown IS 'Fields the connector has no place for, with how often each was seen.';
CREATE INDEX sync_log_integration ON deskmill.sync_log (integration_id, id);
CREATE INDEX sync_log_running ON deskmill.sync_log (worker_id) WHERE outcome = 'running';
CREATE INDEX sync_log_started ON deskmill.sync_log (started_at);

CREATE TABLE deskmill.stream_cursors (
    integration_id bigint NOT NULL REFERENCES deskmill.integrations ON DELETE CASCADE,
    stream         text NOT NULL,
    watermark      timestamptz,
    cursor         text,
    completed_at   timestamptz,
    job_id         bigint,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (integration_id, stream)
);
COMMENT ON TABLE deskmill.stream_cursors IS 'How far each stream has been read; moved only by the transaction that commits the rows.';
COMMENT ON COLUMN deskmill.stream_cursors.integration_id IS 'The integration.';
COMMENT ON COLUMN deskmill.stream_cursors.stream IS 'issues, issues_history, accounts, users.';
COMMENT ON COLUMN deskmill.stream_cursors.job_id IS 'The job that moved it last.';
COMMENT ON COLUMN deskmill.stream_cursors.updated_at IS 'When it was moved last.';
COMMENT ON COLUMN deskmill.stream_cursors.watermark IS 'The newest vendor timestamp up to which everything is committed.';
COMMENT ON COLUMN deskmill.stream_cursors.cursor IS 'The vendor''s own opaque cursor, where there is one.';
COMMENT ON COLUMN deskmill.stream_cursors.completed_at IS 'When the stream was last read to its end.';

CREATE TABLE deskmill.queue_state (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation  bigint NOT NULL DEFAULT 0,
    run_id      text NOT NULL DEFAULT '',
    rebuilds    bigint NOT NULL DEFAULT 0,
    rebuilt_at  timestamptz,
    leader      text NOT NULL DEFAULT '',
    leader_term bigint NOT NULL DEFAULT 0,
    leader_until timestamptz NOT NULL DEFAULT 'epoch'
);
COMMENT ON TABLE deskmill.queue_state IS 'One row: what Redis must hold for its lists to be trusted, and which scheduler does the work that need not be done twice.';
COMMENT ON COLUMN deskmill.queue_state.one IS 'There is one row.';
COMMENT ON COLUMN deskmill.queue_state.generation IS 'Must equal the one in Redis.';
COMMENT ON COLUMN deskmill.queue_state.run_id IS 'Of the Redis server that was last rebuilt.';
COMMENT ON COLUMN deskmill.queue_state.rebuilds IS 'How often so far.';
COMMENT ON COLUMN deskmill.queue_state.rebuilt_at IS 'When last.';
COMMENT ON COLUMN deskmill.queue_state.leader IS 'Scheduler that leads: host:pid:random.';
COMMENT ON COLUMN deskmill.queue_state.leader_term IS 'Raised with each new leader.';
COMMENT ON COLUMN deskmill.queue_state.leader_until IS 'When its lease ends.';
INSERT INTO deskmill.queue_state DEFAULT VALUES;

-- The fence. Called in every transaction of a worker: moves the job's own row if, and only if, the caller still owns it; otherwise the transaction dies with
-- DM409. Returns whether someone asked for the job to be cancelled.
CREATE FUNCTION deskmill.own_job(p_job bigint, p_epoch integer, p_worker bigint, p_checkpoint jsonb, p_progress jsonb) RETURNS boolean
    LANGUAGE plpgsql SET search_path = deskmill, pg_temp AS $$
DECLARE
    asked boolean;
BEGIN
    UPDATE jobs
       SET checkpoint = p_checkpoint, progress = p_progress, progress_at = clock_timestamp(), crashes = 0, losses = 0
     WHERE id = p_job AND epoch = p_epoch AND worker_id = p_worker AND state = 'running'
    RETURNING cancel_requested INTO asked;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job %: epoch % of worker % is not current', p_job, p_epoch, p_worker USING ERRCODE = 'DM409';
    END IF;
    RETURN asked;
END $$;
COMMENT ON FUNCTION deskmill.own_job IS 'Fences a worker''s transaction: SQLSTATE DM409 unless (job, epoch, worker) is still running.';
