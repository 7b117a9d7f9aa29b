"""history - what really happened, as Postgres and the simulator saw it: the input of the checker.

install() puts triggers on the product's tables that write every change into a schema of the test's own, in the transaction that makes the
change; the product does not know. An event's `seq` orders events that exclude each other (they hold the same row's lock or the same unique key
one after the other), `xid` says which belong to one transaction, and what was rolled back has left no event.
"""
import dataclasses
import datetime

AUDIT = """
CREATE SCHEMA chaos;
CREATE SEQUENCE chaos.seq;
CREATE FUNCTION chaos.app() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('application_name') $$;
"""

# table of the product: (kind of event, its fields: name -> SQL over OLD and NEW, which of (insert, update, delete), an update counts when)
WATCHED = {
    "jobs": ("jobs", {
        "id": "NEW.id", "kind": "NEW.kind", "epoch": "NEW.epoch", "state": "NEW.state::text", "worker_id": "NEW.worker_id", "lock_key": "NEW.lock_key",
        "dedupe_key": "NEW.dedupe_key", "schedule_id": "NEW.schedule_id", "tick": "NEW.tick", "run_at": "NEW.run_at", "attempt": "NEW.attempt",
        "crashes": "NEW.crashes", "losses": "NEW.losses", "folded_into": "NEW.folded_into",
    }, None),
    "schedule_ticks": ("ticks", {"schedule_id": "NEW.schedule_id", "tick": "NEW.tick", "job_id": "NEW.job_id"}, None),
    "sync_log": ("log", {
        "job_id": "NEW.job_id", "epoch": "NEW.epoch", "outcome": "NEW.outcome", "was": "CASE WHEN TG_OP = 'UPDATE' THEN OLD.outcome END",
    }, None),
    "stream_cursors": ("cursors", {
        "integration_id": "NEW.integration_id", "stream": "NEW.stream", "watermark": "NEW.watermark", "completed": "NEW.completed_at IS NOT NULL",
    }, None),
    **{table: ("rows", {
        "tab": f"'{table}'", "integration_id": "NEW.integration_id", "id": "NEW.id",
        "was": f"CASE WHEN TG_OP = 'UPDATE' THEN {version.replace('NEW', 'OLD')} END", "version": version,
    }, "OLD.row_hash IS DISTINCT FROM NEW.row_hash") for table, version in
        {"issues": "NEW.updated_at", "accounts": "NEW.updated_at", "users": "NULL::timestamptz", "messages": "NEW.created_at"}.items()},
}
TYPES = {
    "id": "text", "kind": "text", "epoch": "int", "state": "text", "worker_id": "bigint", "lock_key": "text", "dedupe_key": "text",
    "schedule_id": "bigint", "tick": "timestamptz", "run_at": "timestamptz", "attempt": "int", "crashes": "int", "losses": "int", "folded_into": "bigint",
    "job_id": "bigint", "outcome": "text", "integration_id": "bigint", "stream": "text", "watermark": "timestamptz", "completed": "bool",
    "tab": "text", "version": "timestamptz",
}


def install(sql):
    """Once, before any process of the product is started."""
    sql(AUDIT)
    made = set()
    for table, (event, fields, when) in WATCHED.items():
        types = {k: TYPES.get(k, "text") for k in fields}
        if event == "rows":
            types["was"] = "timestamptz"
        if event == "jobs":
            types["id"] = "bigint"
        if event not in made:
            made.add(event)
            sql(f"CREATE TABLE chaos.{event} (seq bigint NOT NULL DEFAULT nextval('chaos.seq'), at timestamptz NOT NULL DEFAULT clock_timestamp(),"
                " xid xid8 NOT NULL DEFAULT pg_current_xact_id(), app text NOT NULL DEFAULT chaos.app(), op text NOT NULL, "
                + ", ".join(f"{k} {t}" for k, t in types.items()) + ")")
        sql(f"CREATE FUNCTION chaos.on_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" INSERT INTO chaos.{event} (op, {', '.join(fields)}) VALUES (lower(TG_OP), {', '.join(fields.values())}); RETURN NULL; END $$")
        sql(f"CREATE TRIGGER chaos_insert AFTER INSERT ON deskmill.{table} FOR EACH ROW EXECUTE FUNCTION chaos.on_{table}()")
        sql(f"CREATE TRIGGER chaos_update AFTER UPDATE ON deskmill.{table} FOR EACH ROW"
            + (f" WHEN ({when})" if when else "") + f" EXECUTE FUNCTION chaos.on_{table}()")


class Event(dict):
    """One change, its members as attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self):
        return " ".join(f"{k}={v.isoformat() if isinstance(v, datetime.datetime) else v}" for k, v in self.items() if v is not None)


@dataclasses.dataclass
class Limit:
    """What an integration may ask of its vendor, and what the vendor has logged."""

    integration: str
    endpoint: str
    per_minute: int
    calls: list  # moments, seconds of the monotonic clock, ascending
    resets: list  # moments at which the count of what was spent may have been lost, the same clock
    away: list  # spans (from, to) in which callers may have paced themselves alone
    held_up: list  # spans in which calls may have been held up on their way
    callers: int  # how many may call at a time
    in_flight: int  # calls that may be on their way at a time


@dataclasses.dataclass
class Schedule:
    id: int
    misfire: str
    ticks: list  # every tick that came due while it was enabled, ascending


@dataclasses.dataclass
class History:
    """Everything the checker looks at. Nothing in it comes from the code under test but the rows themselves."""

    jobs: list = dataclasses.field(default_factory=list)  # events, ascending by seq; likewise the others
    ticks: list = dataclasses.field(default_factory=list)
    log: list = dataclasses.field(default_factory=list)
    cursors: list = dataclasses.field(default_factory=list)
    rows: list = dataclasses.field(default_factory=list)
    accepted: dict = dataclasses.field(default_factory=dict)  # job -> what was asked for, as the api confirmed it
    workers: set = dataclasses.field(default_factory=set)  # numbers of all that have ever registered
    final_jobs: dict = dataclasses.field(default_factory=dict)  # job -> its row at the end
    final_log: list = dataclasses.field(default_factory=list)  # rows of sync_log at the end
    tables: list = dataclasses.field(default_factory=list)  # (integration, table, rows held, rows that are true)
    edits: list = dataclasses.field(default_factory=list)  # (integration, issue, updated_at): each change that the vendor confirmed
    limits: list = dataclasses.field(default_factory=list)
    schedules: list = dataclasses.field(default_factory=list)
    crashed: list = dataclasses.field(default_factory=list)  # processes that ended by themselves: (name, how)


def read(sql, history):
    """Takes the events, and the rows that are left at the end."""
    for event in ("jobs", "ticks", "log", "cursors", "rows"):
        setattr(history, event, [Event(r) for r in sql(f"SELECT * FROM chaos.{event} ORDER BY seq")])
    history.final_jobs = {r.id: Event(r) for r in sql("SELECT * FROM jobs")}
    history.workers = {r.id for r in sql("SELECT id FROM workers")}
    history.final_log = [Event(r) for r in sql("SELECT * FROM sync_log ORDER BY id")]
