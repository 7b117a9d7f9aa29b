/* protocol.pml - who may write for a job: claims, leases, the reaper and the fence, and a Redis that may forget.
 *
 * One step of a process is one transaction of Postgres, one script of Redis, or one message that is read. Whatever
 * can happen between two of those can happen between two steps. README.md says which step stands for which code,
 * what was left out, and why that may be left out.
 *
 * What must hold:
 *   - Each page is committed once, in order, by the attempt that owns the job at that moment, and a job is done when
 *     all of them are: the assertions in commit_page() and settle().
 *   - A job is taken back only as often as something has happened to a worker: the assertion in take_back().
 *   - Each job is done or dead at last: `ltl ends`. No fairness is assumed: every step uses up something.
 *
 * -D sets the bounds, leaves parts of the protocol out (NO_...) and brings back mistakes that were once in it. */

#ifndef WORKERS
#define WORKERS 2 /* processes; each has one child, and room for one job that was claimed ahead. 1 or 2 */
#endif
#ifndef JOBS
#define JOBS 1 /* 1 or 2, which then share a lock key */
#endif
#ifndef PAGES
#define PAGES 1 /* that a job commits */
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2 /* failures after which a job is dead */
#endif
#ifndef LOSSES
#define LOSSES 2 /* lost workers after which it is: 10 in the code */
#endif
#define COPIES     2 /* of one id that Redis may hold */
#define IDS        8 /* of workers, ever */
#define LAST       (JOBS - 1)
#define OTHER_W(i) (WORKERS - 1 - (i))

#define KILL   1  /* SIGKILL of a worker, children and all */
#define STOP   2  /* SIGSTOP of a parent for longer than the lease; SIGCONT later, or never */
#define CHILD  4  /* SIGKILL of a child, or a crash */
#define CUT    8  /* a connection to Postgres ends; what was asked may have been done or not */
#define CRASH  16 /* of Postgres: commits that had not reached the disk are undone */
#define FORGET 32 /* Redis is empty, or as it was some time ago */
#define AWAY   64 /* Redis is out of reach, and empty when it is back */
#ifndef KINDS
#define KINDS (KILL + STOP + CHILD + CUT + CRASH + FORGET + AWAY)
#endif
#define MAY(kind) (faults > 0 && ((KINDS) & kind))

/* ---- Postgres ---- */

mtype = { Scheduled, Queued, Running, Done, Dead }; /* states of a job */
mtype = { Unknown, Active, Buried };                /* and of a worker's row; Unknown: there is none */

typedef Row {
    mtype state = Queued;
    byte epoch, owner, page, attempt, losses;
    bit dirty;  /* its claim has not reached the disk, */
    byte before /* where it says this epoch */
}
Row row[JOBS];
mtype worker[IDS + 1] = Unknown; /* 0 is nobody's number */
byte ids;                        /* the newest worker's */
byte durable_ids;                /* of those on the disk */

/* ---- Redis ---- */

byte list[JOBS]; /* how often it holds the job's id */
bit trusted = 1; /* its generation is the one in Postgres */
bit away;

/* ---- what processes know ---- */

mtype = { Up, Stopped, Down };                  /* a parent */
mtype = { Idle, Runs, Sent, Ended };            /* a child; Sent: its page is on its way through Postgres */
mtype = { Finished, Failed, Lost };             /* how an attempt ended */

typedef Parent {
    mtype is = Up;
    bit for_good;        /* stopped, and nobody will wake it */
    bit locked;          /* its session holds its lock */
    bit futile;          /* a claim gave nothing because it was buried: its next beat comes before its next claim */
    byte id;             /* 0: not registered */
    byte seen;           /* the highest epoch it was told under this id */
    byte floor;          /* its claims give no lower epoch */
    byte taken;          /* an id from Redis, to be claimed */
    mtype how = Finished /* the attempt that is over */
}
typedef Child {
    mtype is = Idle;
    mtype how = Finished
}
Parent parent[WORKERS];
Child child[WORKERS];

/* A job as one who was told of it knows it; job 0 is none, job n + 1 is row n. */
typedef Note {
    byte job, epoch, owner, page
}
Note note[WORKERS * 5];
#define ANSWER(i) ((i) * 5)     /* a claim's, on its way to the parent */
#define POOL(i)   ((i) * 5 + 1) /* claimed, for the child when it is free */
#define RUNS(i)   ((i) * 5 + 2) /* what the child runs */
#define OVER(i)   ((i) * 5 + 3) /* ended, to be written back */
#define ORPHAN(i) ((i) * 5 + 4) /* a page that a child had sent when it was killed: the server does not know yet */

bit refill;       /* the dispatcher has dropped the lists and read the rows, */
bit reading[JOBS]; /* and will push these */

byte faults = FAULTS;
byte struck; /* stops and kills of parents so far */

/* ---- words ---- */

#define ENDED(j)     (row[j].state == Done || row[j].state == Dead)
#define LOCK_FREE(j) (JOBS == 1 || row[LAST - (j)].state != Running)
#define WAITING(j)   (row[j].state == Queued && LOCK_FREE(j))

/* Whether what note n says of row j is still so: the condition of own_job() and job_settle. */
#ifdef NO_EPOCH
#define EPOCH_IS(j, n) 1
#else
#define EPOCH_IS(j, n) (row[j].epoch == note[n].epoch)
#endif
#ifdef NO_OWNER
#define OWNER_IS(j, n) 1
#else
#define OWNER_IS(j, n) (row[j].owner == note[n].owner)
#endif
#define CURRENT(j, n) (row[j].state == Running && EPOCH_IS(j, n) && OWNER_IS(j, n))

inline forget(n)
{
    note[n].job = 0;
    note[n].epoch = 0;
    note[n].owner = 0;
    note[n].page = 0
}

inline copy(from, to)
{
    note[to].job = note[from].job;
    note[to].epoch = note[from].epoch;
    note[to].owner = note[from].owner;
    note[to].page = note[from].page
}

inline move(from, to)
{
    copy(from, to);
    forget(from)
}

/* A commit that waits for the disk takes all before it along: the log is written in order. */
inline flush()
{
    row[0].dirty = 0;
    row[0].before = 0;
    row[LAST].dirty = 0;
    row[LAST].before = 0;
    durable_ids = ids
}

/* After a commit. What does not arrive is the dispatcher's to find. */
inline push(j)
{
    if
    :: !away && list[j] < COPIES -> list[j]++
    :: skip
    fi
}

/* The job that waits for the lock key which job j has let go. */
inline unblock(j)
{
    if
    :: JOBS > 1 && row[LAST - (j)].state == Queued -> push(LAST - (j))
    :: else
    fi
}

/* Job j is to run again. */
inline requeue(j)
{
    row[j].state = Queued;
    row[j].owner = 0;
    flush();
    push(j);
    unblock(j)
}

/* ---- transactions of workers ---- */

/* own_job() and whatever else is in its transaction: note n's page of row j. `done`: it was committed. */
inline commit_page(n, j, done)
{
#ifdef NO_FENCE
    done = 1;
#else
    done = CURRENT(j, n);
#endif
    if
    :: done ->
        assert(row[j].state == Running);
        assert(row[j].page == note[n].page); /* none twice, none left out, none after somebody else's */
        assert(LOCK_FREE(j));
        row[j].page++;
        row[j].losses = 0;
        flush()
    :: else
    fi
}

/* job_claim of row j by worker i. One that was given up gets nothing. */
#ifdef ANYONE
#define MAY_OWN(w) 1
#else
#define MAY_OWN(w) (worker[w] == Active)
#endif
inline claim(i, j)
{
    if
    :: WAITING(j) && MAY_OWN(parent[i].id) ->
        row[j].state = Running;
        row[j].before = row[j].epoch;
        row[j].epoch = (row[j].epoch + 1 > parent[i].floor -> row[j].epoch + 1 : parent[i].floor);
        row[j].owner = parent[i].id;
        row[j].dirty = 1;
        note[ANSWER(i)].job = j + 1;
        note[ANSWER(i)].epoch = row[j].epoch;
        note[ANSWER(i)].page = row[j].page;
        printf("worker %d: claims job %d as %d, epoch %d\n", i, j + 1, row[j].owner, row[j].epoch)
    :: else ->
        parent[i].futile = (parent[i].id != 0 && worker[parent[i].id] != Active);
        printf("worker %d: claims job %d in vain\n", i, j + 1)
    fi
}

/* job_settle of row j, and what follows it. */
inline settle(n, j, outcome)
{
    if
    :: CURRENT(j, n) ->
        if
        :: outcome == Finished ->
            assert(row[j].page == PAGES);
            row[j].state = Done
        :: else ->
            row[j].attempt++;
            row[j].state = (row[j].attempt >= ATTEMPTS -> Dead : Scheduled)
        fi;
        row[j].owner = 0;
        flush();
        unblock(j)
    :: else
    fi
}

/* ---- a worker's parent: worker.c, claim.c, slot.c, settle.c ---- */

#define me            parent[i]
#define MAY_CLAIM     (me.is == Up && me.locked && (!me.futile || worker[me.id] == Active) && me.taken == 0 && note[ANSWER(i)].job == 0 && note[POOL(i)].job == 0)
#define LOCK_TAKEN    (WORKERS > 1 && parent[OTHER_W(i)].locked && parent[OTHER_W(i)].id == me.id)
#define SAME(a, b)    (note[a].job == note[b].job && note[a].epoch == note[b].epoch && note[a].owner == note[b].owner)
#define HELD(n)       (SAME(n, RUNS(i)) || SAME(n, POOL(i)) || SAME(n, OVER(i)))
#define KNOWS_OF(j)   (note[RUNS(i)].job == j + 1 || note[POOL(i)].job == j + 1 || note[OVER(i)].job == j + 1)
#define ADRIFT(j)     (row[j].state == Running && row[j].owner == me.id && !KNOWS_OF(j))

proctype Parent_(byte i)
{
    byte j;

end:
    do
    /* enrol() */
    :: atomic { me.is == Up && me.id == 0 ->
            assert(ids < IDS);
            ids++;
            me.id = ids;
            worker[ids] = Active;
            printf("worker %d: registers as %d\n", i, ids);
#ifndef RELAXED_REGISTER
            flush()
#endif
       }
    /* ask_lock() */
    :: atomic { me.is == Up && me.id != 0 && !me.locked && !LOCK_TAKEN ->
            me.locked = 1;
            printf("worker %d: holds its lock\n", i)
       }
    /* beat(), buried() */
    :: atomic { me.is == Up && me.id != 0 && worker[me.id] != Active ->
            printf("worker %d: hears that it is no longer %d\n", i, me.id);
            me.id = 0;
            me.locked = 0;
            me.futile = 0;
            me.seen = 0;
            me.floor = 0
       }
    /* claim_more(): an id from Redis, or from the rows while Redis is away. One claim at a time. */
    :: atomic { MAY_CLAIM && !away && list[0] > 0 -> list[0]--; me.taken = 1; printf("worker %d: takes the id 1\n", i) }
    :: atomic { MAY_CLAIM && !away && JOBS > 1 && list[LAST] > 0 -> list[LAST]--; me.taken = 2; printf("worker %d: takes the id 2\n", i) }
    :: atomic { MAY_CLAIM && away && WAITING(0) -> me.taken = 1; printf("worker %d: sees row 1\n", i) }
    :: atomic { MAY_CLAIM && away && JOBS > 1 && WAITING(LAST) -> me.taken = 2; printf("worker %d: sees row 2\n", i) }
    /* claim_rows() */
    :: atomic { me.is == Up && me.taken != 0 ->
            j = me.taken - 1;
            me.taken = 0;
            claim(i, j);
            j = 0
       }
    /* on_claimed() */
    :: atomic { me.is == Up && note[ANSWER(i)].job != 0 ->
            note[ANSWER(i)].owner = me.id;
            me.seen = (note[ANSWER(i)].epoch > me.seen -> note[ANSWER(i)].epoch : me.seen);
            printf("worker %d: hears that job %d is its own\n", i, note[ANSWER(i)].job);
#ifndef NO_FOLD
            if
            :: HELD(ANSWER(i)) -> forget(ANSWER(i)) /* what it holds was undone and is its own again */
            :: else -> move(ANSWER(i), POOL(i))
            fi
#else
            move(ANSWER(i), POOL(i))
#endif
       }
    /* slot_run() */
    :: atomic { me.is == Up && note[POOL(i)].job != 0 && child[i].is == Idle ->
            printf("worker %d: gives job %d to its child\n", i, note[POOL(i)].job);
            move(POOL(i), RUNS(i));
            child[i].is = Runs
       }
    /* on_readable(), slot_child_died(), settle_add() */
    :: atomic { me.is == Up && child[i].is == Ended && note[OVER(i)].job == 0 ->
            printf("worker %d: hears that job %d is %e\n", i, note[RUNS(i)].job, child[i].how);
            if
            :: child[i].how == Lost -> forget(RUNS(i))
            :: else -> move(RUNS(i), OVER(i)); me.how = child[i].how
            fi;
            child[i].is = Idle;
            child[i].how = Finished
       }
    /* settle_flush(); an answer that is lost means that it is sent again */
    :: atomic { me.is == Up && note[OVER(i)].job != 0 ->
            j = note[OVER(i)].job - 1;
            printf("worker %d: settles job %d, epoch %d of %d: %e\n", i, j + 1, note[OVER(i)].epoch, note[OVER(i)].owner, me.how);
            settle(OVER(i), j, me.how);
            j = 0;
            if
            :: MAY(CUT) -> faults--; printf("FAULT: nobody hears that it is settled\n")
            :: me.how = Finished; forget(OVER(i))
            fi
       }
#ifndef NO_ADRIFT
    /* the answer to a claim was lost: the job runs under our name, and nobody runs it */
    :: atomic { me.is == Up && me.id != 0 && me.taken == 0 && note[ANSWER(i)].job == 0 && (ADRIFT(0) || ADRIFT(LAST)) ->
            j = (ADRIFT(0) -> 0 : LAST);
            printf("worker %d: gives back job %d, which it never heard of\n", i, j + 1);
            requeue(j);
            j = 0
       }
#endif
    od
}

/* ---- its child, and the session that it writes through: child.c, ctx.c ---- */

proctype Child_(byte i)
{
    byte j;
    bit done;

end:
    do
    :: atomic { child[i].is == Runs && note[RUNS(i)].page < PAGES -> child[i].is = Sent; printf("child %d: sends a page\n", i) }
    :: atomic { child[i].is == Runs && note[RUNS(i)].page == PAGES -> child[i].is = Ended; printf("child %d: is through\n", i) }
    /* ctx_commit() */
    :: atomic { child[i].is == Sent ->
            j = note[RUNS(i)].job - 1;
            printf("Postgres: a page of child %d for job %d, epoch %d of %d\n", i, j + 1, note[RUNS(i)].epoch, note[RUNS(i)].owner);
            commit_page(RUNS(i), j, done);
            if
            :: done -> child[i].is = Runs; note[RUNS(i)].page++
            :: else -> child[i].is = Ended; child[i].how = Lost
            fi;
            j = 0;
            done = 0
       }
    /* the same, its child dead; or the server has noticed, or the reaper ended the session */
    :: atomic { note[ORPHAN(i)].job != 0 ->
            j = note[ORPHAN(i)].job - 1;
            if
            :: printf("Postgres: a page of a dead child for job %d, epoch %d of %d\n", j + 1, note[ORPHAN(i)].epoch, note[ORPHAN(i)].owner);
               commit_page(ORPHAN(i), j, done)
            :: skip
            fi;
            j = 0;
            done = 0;
            forget(ORPHAN(i))
       }
    od
}
#undef me

/* ---- the scheduler: reap.c, promote.c, dispatch.c ---- */

#ifdef NO_LEASE
#define SILENT(w) (worker[w] == Active)
#else
#define BEATS(i, w) (parent[i].is == Up && parent[i].id == w)
#define SILENT(w)   (worker[w] == Active && !BEATS(0, w) && !BEATS(OTHER_W(0), w))
#endif
#define OF_THE_BURIED(j) (row[j].state == Running && worker[row[j].owner] == Buried)
#define TAKES(i, j)      (parent[i].taken == j + 1 && worker[parent[i].id] == Active)
#define TAKEN(j)         (row[j].state == Queued && (TAKES(0, j) || TAKES(OTHER_W(0), j)))
#if JOBS > 1
#define WANTED (WAITING(0) + WAITING(LAST))
#define THERE  (list[0] + list[LAST] + TAKEN(0) + TAKEN(LAST))
#else
#define WANTED WAITING(0)
#define THERE  (list[0] + TAKEN(0))
#endif

/* job_reap */
inline take_back(j)
{
    printf("scheduler: takes job %d back from %d\n", j + 1, row[j].owner);
    row[j].losses++;
    assert(row[j].losses <= struck);
    if
    :: row[j].losses >= LOSSES ->
        row[j].state = Dead;
        row[j].owner = 0;
        flush();
        unblock(j)
    :: else -> requeue(j)
    fi
}

/* job_promote */
inline promote(j)
{
    row[j].state = Queued;
    flush();
    push(j);
    printf("scheduler: job %d is due\n", j + 1)
}

inline push_read(j)
{
    if
    :: reading[j] && !away && list[j] < COPIES -> list[j]++
    :: else
    fi;
    reading[j] = 0
}

proctype Scheduler()
{
    byte w;

end:
    do
#ifndef NO_REAP
    /* reap_bury() */
    :: atomic {
            if
            :: SILENT(1) -> w = 1
            :: SILENT(2) -> w = 2
            :: SILENT(3) -> w = 3
            :: SILENT(4) -> w = 4
            :: SILENT(5) -> w = 5
            :: SILENT(6) -> w = 6
            :: SILENT(7) -> w = 7
            :: SILENT(8) -> w = 8
            fi;
            worker[w] = Buried;
            flush();
            printf("scheduler: buries %d\n", w);
            w = 0
       }
    /* reap_take_back() */
    :: atomic { OF_THE_BURIED(0) -> take_back(0) }
    :: atomic { JOBS > 1 && OF_THE_BURIED(LAST) -> take_back(LAST) }
#endif
    /* promote_batch() */
    :: atomic { row[0].state == Scheduled -> promote(0) }
    :: atomic { JOBS > 1 && row[LAST].state == Scheduled -> promote(LAST) }
#ifndef NO_REPUSH
    /* rebuild_begin(), or check() that finds lists short: they are dropped, and only then the rows are read */
    :: atomic { !away && !refill && (!trusted || WANTED > THERE) ->
            list[0] = 0;
            list[LAST] = 0;
            reading[0] = (row[0].state == Queued);
            reading[LAST] = (row[LAST].state == Queued);
            trusted = 1;
            refill = 1;
            printf("scheduler: drops the lists and reads the rows\n")
       }
    /* and pushed, into a Redis that may have forgotten again */
    :: atomic { refill ->
            push_read(0);
            if
            :: JOBS > 1 -> push_read(LAST)
            :: else
            fi;
            refill = 0;
            printf("scheduler: pushes what it read\n")
       }
#endif
    od
}

/* ---- what goes wrong ---- */

/* A child that waits for Postgres hears that the connection is gone. */
inline cut_child(i)
{
    if
    :: child[i].is == Sent -> child[i].is = Ended; child[i].how = Failed
    :: else
    fi
}

/* on_db(): what it claimed may be undone. Whoever claims that next must not get the same epoch under the same name. */
inline cut_parent(i)
{
    parent[i].locked = 0;
#ifndef NO_FLOOR
    parent[i].floor = (parent[i].seen > 0 -> parent[i].seen + 1 : 0);
#endif
    forget(ANSWER(i))
}

/* Its page stays with the server. */
inline kill_child(i)
{
    if
    :: child[i].is == Sent -> copy(RUNS(i), ORPHAN(i))
    :: else
    fi
}
#define MAY_DIE(i) (child[i].is != Sent || note[ORPHAN(i)].job == 0) /* one orphan for each worker */

inline kill_parent(i)
{
    kill_child(i);
    child[i].is = Idle;
    child[i].how = Finished;
    parent[i].is = Down;
    parent[i].for_good = 0;
    parent[i].locked = 0;
    parent[i].futile = 0;
    parent[i].id = 0;
    parent[i].seen = 0;
    parent[i].floor = 0;
    parent[i].taken = 0;
    parent[i].how = Finished;
    forget(ANSWER(i));
    forget(POOL(i));
    forget(RUNS(i));
    forget(OVER(i))
}

proctype Trouble(byte i)
{
end:
    do
    :: atomic { MAY(KILL) && parent[i].is != Down && MAY_DIE(i) -> faults--; struck++; kill_parent(i); printf("FAULT: worker %d is killed\n", i) }
    :: atomic { parent[i].is == Down -> parent[i].is = Up; printf("worker %d: is started again\n", i) }
    :: atomic { MAY(STOP) && parent[i].is == Up ->
            faults--;
            struck++;
            parent[i].is = Stopped;
            if
            :: i > 0 -> parent[i].for_good = 1; printf("FAULT: worker %d is stopped for good\n", i)
            :: printf("FAULT: worker %d is stopped\n", i)
            fi
       }
    :: atomic { parent[i].is == Stopped && !parent[i].for_good -> parent[i].is = Up; printf("worker %d: goes on\n", i) }
    :: atomic { MAY(CHILD) && (child[i].is == Runs || child[i].is == Sent) && MAY_DIE(i) ->
            faults--;
            kill_child(i);
            child[i].is = Ended;
            child[i].how = Failed;
            printf("FAULT: child %d is killed\n", i)
       }
    :: atomic { MAY(CUT) && child[i].is == Sent && note[ORPHAN(i)].job == 0 ->
            faults--;
            kill_child(i); /* what it sent may still arrive */
            cut_child(i);
            printf("FAULT: child %d is cut off\n", i)
       }
    :: atomic { MAY(CUT) && note[ANSWER(i)].job != 0 -> faults--; cut_parent(i); printf("FAULT: nobody hears the answer to the claim of worker %d\n", i) }
    od
}

inline undo(j)
{
    if
    :: row[j].dirty ->
        row[j].dirty = 0;
        row[j].state = Queued;
        row[j].epoch = row[j].before;
        row[j].before = 0;
        row[j].owner = 0
    :: else
    fi
}

/* Empty, or as it was before. */
inline age(j)
{
    if
    :: list[j] = 0
    :: list[j] = 1
    fi
}

proctype Servers()
{
end:
    do
    :: atomic { row[0].dirty || row[LAST].dirty || durable_ids < ids -> flush(); printf("Postgres: its log is on the disk\n") }
    :: atomic { MAY(CRASH) ->
            faults--;
            undo(0);
            undo(LAST);
            do
            :: ids > durable_ids -> worker[ids] = Unknown; ids--
            :: else -> break
            od;
            cut_parent(0);
            cut_parent(OTHER_W(0));
            cut_child(0);
            cut_child(OTHER_W(0));
            forget(ORPHAN(0));
            forget(ORPHAN(OTHER_W(0)));
            printf("FAULT: Postgres crashes\n")
       }
    :: atomic { MAY(FORGET) -> faults--; trusted = 0; age(0); age(LAST); printf("FAULT: Redis forgets\n") }
    :: atomic { MAY(AWAY) && !away ->
            faults--;
            away = 1;
            trusted = 0;
            list[0] = 0;
            list[LAST] = 0;
            printf("FAULT: Redis is away\n")
       }
    :: atomic { away -> away = 0; printf("Redis: is back\n") }
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. WORKERS - 1) {
            run Parent_(i);
            run Child_(i);
            run Trouble(i)
        }
        run Scheduler();
        run Servers();
        i = 0;
        push(0);
        if
        :: JOBS > 1 -> push(LAST)
        :: else
        fi
    }
}

ltl ends { <> (ENDED(0) && ENDED(LAST)) }
