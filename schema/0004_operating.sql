-- 0004: what operators hold back, and what they are shown: paused queues, workers that are to go, and what each worker has done so far.

CREATE TABLE deskmill.queue_pauses (
    queue          text NOT NULL CHECK (queue IN ('live', 'default', 'bulk')),
    integration_id bigint REFERENCES deskmill.integrations ON DELETE CASCADE,
    reason         text,
    by             text NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (queue, integration_id)
);
COMMENT ON TABLE deskmill.queue_pauses IS 'Queues of which no job starts, wholly or for one integration. Their jobs stay queued; Redis holds none of their ids for long.';
COMMENT ON COLUMN deskmill.queue_pauses.queue IS 'live, default or bulk.';
COMMENT ON COLUMN deskmill.queue_pauses.integration_id IS 'Of this integration only; null: of all, and of jobs without one.';
COMMENT ON COLUMN deskmill.queue_pauses.reason IS 'Why, for others to read.';
COMMENT ON COLUMN deskmill.queue_pauses.by IS 'Who paused it.';
COMMENT ON COLUMN deskmill.queue_pauses.at IS 'When.';

ALTER TABLE deskmill.workers
    ADD COLUMN drain_asked_at timestamptz,
    ADD COLUMN started bigint[] NOT NULL DEFAULT '{0,0,0}',
    ADD COLUMN done    bigint NOT NULL DEFAULT 0,
    ADD COLUMN failed  bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN deskmill.workers.drain_asked_at IS 'When someone asked it to drain and end; it sees that at its next beat.';
COMMENT ON COLUMN deskmill.workers.started IS 'Jobs it has started, by queue: live, default, bulk. As of its last beat, like the two below.';
COMMENT ON COLUMN deskmill.workers.done IS 'Attempts that ended well.';
COMMENT ON COLUMN deskmill.workers.failed IS 'Attempts that failed, crashed, timed out or left their job dead.';
