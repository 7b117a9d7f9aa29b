-- 0003: a job's way from queued to running changes no index. Postgres keeps such a new row version on the page of the old one (HOT): nothing is inserted into
-- any index, and the old version goes without a vacuum. What forbids it is a changed value in any column that any index names, in its predicate too. So
-- no index names `state` or `worker_id` any more; they name columns generated from them, which change only for the jobs that need it:
--   stage         tells queued and running not apart: being claimed leaves it as it is
--   lock_held     null for all but running jobs with a lock key
--   dedupe_held   null for all but waiting jobs with a dedupe key
-- Who runs what is in job_claims instead, a row for each batch that a worker took.

CREATE TYPE deskmill.job_stage AS ENUM ('later', 'ready', 'done', 'dead', 'cancelled');

DROP INDEX deskmill.jobs_lock, deskmill.jobs_dedupe, deskmill.jobs_queued, deskmill.jobs_blocked, deskmill.jobs_due, deskmill.jobs_running, deskmill.jobs_parent,
    deskmill.jobs_of_integration, deskmill.jobs_of_schedule, deskmill.jobs_ended, deskmill.jobs_dead;

ALTER TABLE deskmill.jobs
    ADD COLUMN stage deskmill.job_stage NOT NULL GENERATED ALWAYS AS (CASE state WHEN 'scheduled' THEN 'later'::deskmill.job_stage
        WHEN 'queued' THEN 'ready' WHEN 'running' THEN 'ready' WHEN 'done' THEN 'done' WHEN 'dead' THEN 'dead' ELSE 'cancelled' END) STORED,
    ADD COLUMN lock_held text GENERATED ALWAYS AS (CASE WHEN state = 'running' THEN lock_key END) STORED,
    ADD COLUMN dedupe_held text GENERATED ALWAYS AS (CASE WHEN state IN ('scheduled', 'queued') THEN dedupe_key END) STORED,
    -- Half of each page stays free for the versions that the rows on it will have while they run. Dead versions are reused at once; vacuum has little to
    -- do and does it often, so that index entries of finished jobs do not pile up at the head of jobs_ready.
    SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
COMMENT ON COLUMN deskmill.jobs.stage IS 'later: scheduled; ready: queued or running; else as state. What indexes name instead of state.';
COMMENT ON COLUMN deskmill.jobs.lock_held IS 'lock_key while running, else null: unique.';
COMMENT ON COLUMN deskmill.jobs.dedupe_held IS 'dedupe_key while scheduled or queued, else null: unique.';

CREATE UNIQUE INDEX jobs_lock ON deskmill.jobs (lock_held) WHERE lock_held IS NOT NULL;
CREATE UNIQUE INDEX jobs_dedupe ON deskmill.jobs (dedupe_held) WHERE dedupe_held IS NOT NULL;
CREATE INDEX jobs_ready ON deskmill.jobs (queue, priority, id) INCLUDE (integration_id, lock_key) WHERE stage = 'ready';
CREATE INDEX jobs_blocked ON deskmill.jobs (lock_key, priority, id) WHERE stage = 'ready' AND lock_key IS NOT NULL;
CREATE INDEX jobs_due ON deskmill.jobs (run_at) WHERE stage = 'later';
CREATE INDEX jobs_parent ON deskmill.jobs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX jobs_open_children ON deskmill.jobs (parent_id) WHERE parent_id IS NOT NULL AND stage IN ('later', 'ready');
CREATE INDEX jobs_of_integration ON deskmill.jobs (integration_id, id) WHERE integration_id IS NOT NULL;
CREATE INDEX jobs_of_schedule ON deskmill.jobs (schedule_id) WHERE schedule_id IS NOT NULL AND stage IN ('later', 'ready');
CREATE INDEX jobs_dead ON deskmill.jobs (id) WHERE stage = 'dead';

CREATE TABLE deskmill.job_claims (
    worker_id bigint NOT NULL,
    batch     bigint NOT NULL,
    job_ids   bigint[] NOT NULL CHECK (cardinality(job_ids) <= 900),
    PRIMARY KEY (worker_id, batch)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE deskmill.job_claims ALTER job_ids SET STORAGE PLAIN; -- 900 ids fit into a page: nothing to compress or to put elsewhere
COMMENT ON TABLE deskmill.job_claims IS 'A row for each batch of jobs that a worker took and has not wholly written back: where running jobs are found.';
COMMENT ON COLUMN deskmill.job_claims.worker_id IS 'Who took them; no foreign key, as in jobs.';
COMMENT ON COLUMN deskmill.job_claims.batch IS 'The worker''s own number for it. No sequence: after a crash of the server one might give a number anew.';
COMMENT ON COLUMN deskmill.job_claims.job_ids IS 'Which. Those that run under this worker still are its own; the others are history.';
INSERT INTO deskmill.job_claims (worker_id, batch, job_ids) SELECT worker_id, 0, array_agg(id) FROM deskmill.jobs WHERE state = 'running' GROUP BY worker_id;

CREATE VIEW deskmill.running_jobs AS
    SELECT * FROM deskmill.jobs j WHERE j.state = 'running' AND j.id IN (SELECT unnest(c.job_ids) FROM deskmill.job_claims c);
COMMENT ON VIEW deskmill.running_jobs IS 'The running jobs, found through job_claims whatever the size of jobs.';
