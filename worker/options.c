#include "worker/options.h"

const struct conf_option worker_options[] = {
    { "database-url", "DATABASE_URL", CONF_URL, NULL, 0, 0, "postgresql|postgres", "PostgreSQL, where everything that matters is kept" },
    { "redis-url", "REDIS_URL", CONF_URL, NULL, 0, 0, "redis|rediss", "Redis, where ids of queued jobs wait; maxmemory-policy must be noeviction" },
    { "key", "DESKMILL_KEY", CONF_SECRET, NULL, 0, 0, NULL, "the key that vendors' credentials are sealed under: 64 hex digits, or @ and a file's path" },
    { "slots", "DESKMILL_SLOTS", CONF_INT, "4", 1, 256, NULL, "child processes, each running one job at a time" },
    { "beat-ms", "DESKMILL_BEAT_MS", CONF_INT, "2000", 100, 60000, NULL, "milliseconds between two signs of life; keep it well below the scheduler's lease" },
    { "drain-ms", "DESKMILL_DRAIN_MS", CONF_INT, "30000", 0, 3600000, NULL, "milliseconds that jobs get to reach their next page after SIGTERM" },
    { "child-jobs", "DESKMILL_CHILD_JOBS", CONF_INT, "1000", 1, 1000000, NULL, "jobs after which a child is replaced by a fresh one" },
    { "vendor-timeout-ms", "DESKMILL_VENDOR_TIMEOUT_MS", CONF_INT, "60000", 100, 600000, NULL, "milliseconds that one request to a vendor may take" },
    { "vendor-connect-ms", "DESKMILL_VENDOR_CONNECT_MS", CONF_INT, "10000", 100, 60000, NULL, "milliseconds that connecting to a vendor may take" },
    { "max-page-mb", "DESKMILL_MAX_PAGE_MB", CONF_INT, "64", 1, 1024, NULL, "MiB that one answer of a vendor may have, inflated" },
    { .name = NULL },
};
