-- 0005: signals: how often what happened, and which jobs wait for a worker that knows their kind.

CREATE TABLE deskmill.counters (
    name       text NOT NULL,
    label      text NOT NULL DEFAULT '',
    label2     text NOT NULL DEFAULT '',
    value      bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, label, label2)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE deskmill.counters IS 'How often what happened since this database was made: common/counters.def. Processes add what they have counted with their beat, so that no event costs a write of its own.';
COMMENT ON COLUMN deskmill.counters.name IS 'What happened.';
COMMENT ON COLUMN deskmill.counters.label IS 'To what: a kind of job, a queue ...; empty: the counter has no labels.';
COMMENT ON COLUMN deskmill.counters.label2 IS 'How: the outcome of an attempt, say; empty: the counter has no second label.';
COMMENT ON COLUMN deskmill.counters.value IS 'How often, or the sum: it never falls.';
COMMENT ON COLUMN deskmill.counters.changed_at IS 'When something was last added.';

ALTER TABLE deskmill.workers ADD COLUMN kinds text[];
COMMENT ON COLUMN deskmill.workers.kinds IS 'Kinds of jobs that it knows; null: it did not say, and is taken to know them all.';

CREATE TABLE deskmill.kind_waits (
    job_id bigint PRIMARY KEY,
    kind   text NOT NULL,
    since  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE deskmill.kind_waits IS 'Queued jobs that a worker met and whose kind it does not know. Workers that know it take them from here; a row whose job does not wait any more is removed by the scheduler.';
COMMENT ON COLUMN deskmill.kind_waits.job_id IS 'The job; no foreign key, so that deleting jobs need not look here.';
COMMENT ON COLUMN deskmill.kind_waits.kind IS 'Its kind.';
COMMENT ON COLUMN deskmill.kind_waits.since IS 'When a worker first met it.';
CREATE INDEX kind_waits_kind ON deskmill.kind_waits (kind, job_id);
