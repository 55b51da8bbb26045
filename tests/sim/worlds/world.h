/* world.h
 *
 * A simulated world: a few clients, one to three processes of the gateway, the store they share, Snowflake, and the
 * network between them, all on one thread and one virtual clock. A seed says everything that happens: who asks for what
 * and when, what is slow, lost, refused, who is killed, who stands still. The same seed is the same world.
 *
 * The rules that must hold are checked as the world goes and at its end; violation() tells of the first that does not.
 */
#ifndef SNOWGATE_SIM_WORLD_H
#define SNOWGATE_SIM_WORLD_H

#include <stdio.h>

#include "replica.h"
#include "snowgate/stream.h"
#include "snowgate/wheel.h"

#define SECONDS(n) ((usec_t)(n)*USEC_PER_S)
#define MS(n)      ((usec_t)(n)*USEC_PER_MS)
#define NEVER      INT64_MAX

enum { REPLICAS_MAX = 3, SESSIONS_MAX = 8, OPS_MAX = 1200, CHANGES_MAX = 400, STATEMENTS_MAX = 4000 };

/* ---- world.c: time, chance, and the one thread ---- */

struct replica {
	int number;
	const struct replica_ops *ops;
	struct replica_host host;
	struct transport transport;
	struct wire wire;
	bool alive, paused;
	unsigned life;           /* how many processes it has been */
	usec_t disturbed;        /* when it was last killed, started, stopped or held up */
	int doom;                /* so many turns and calls of the host more, then it dies; 0: it lives */
	usec_t ready[THREADS_N]; /* a thread with work takes it up then; 0: it has not noticed yet */
	struct timer wakes;
	/* what it was when it was loaded */
	char *data, *fresh;
	size_t data_n;
};

struct world {
	uint64_t seed;
	struct wheel *wheel;
	usec_t began;
	struct replica v[REPLICAS_MAX];
	int n;
	bool shared, over; /* over: clients begin nothing new */
	usec_t last_fault;
	/* how much goes wrong: chances of one in so many, 0: never */
	unsigned wire_faults, store_faults, slow_store, slow_threads, kills, pauses;
	bool healed;
	size_t calls;
};
extern struct world world;

uint64_t chance(uint64_t n); /* 0 .. n-1 */
bool one_in(uint64_t n);     /* 0: never */
usec_t between(usec_t least, usec_t most);
void after(struct timer *t, usec_t time, void (*fire)(struct timer *));
/* Runs one seed; what is violated ends the process. Returns the calls that its clients made. */
size_t world_run(uint64_t seed);
void worlds_load(const char *object);
/* A host function that a process has called: where its time has come, it does not return. */
void host_called(struct replica *r);
struct replica *some_replica(void);
/* Into a process, which may die of it. */
void replica_request(struct replica *r, handle_t exchange, const struct message *m);
void replica_gone(struct replica *r, handle_t exchange);
void replica_wire_done(struct replica *r, struct wire_request *rq);
void replica_told(struct replica *r, const char *channel, struct slice value);
void violation(uint32_t op, const char *format, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));

/* ---- chart.c: what happened, as a sequence chart ---- */

enum lane { CLIENT, GATEWAY, STORE, SNOWFLAKE, LANES_N };
extern bool charting;
void chart_begin(void);
/* An arrow from lane to lane, or a word on one lane (from == to). `op`: whose it is, 0: everybody's. */
#define chart(from, to, op, ...)                                                                                       \
	do {                                                                                                           \
		if (charting)                                                                                          \
			chart_add(from, to, op, NULL, __VA_ARGS__);                                                    \
	} while (0)
void chart_add(enum lane from, enum lane to, uint32_t op, const char *operation, const char *format, ...)
    PRINTF_LIKE(5, 6);
void chart_request(const char *operation, const char *request_id); /* the record of this operation names it */
void chart_sent(const char *request_id, uint32_t op);              /* and it is this call's */
uint32_t chart_op(const char *operation);                          /* whose it is; 0: not known */
void chart_print(FILE *f, uint32_t op);                            /* 0: all */

/* ---- people.c: the clients ---- */

enum op_kind { OP_READ, OP_WRITE, OP_CONTEXT, OP_RESULT };
struct op {
	uint32_t n;
	enum op_kind kind;
	int session;                       /* index */
	bool keyed, waits, progress, last; /* last: asked when all is well again */
	char member;                       /* CONTEXT: 's'chema or 'w'arehouse */
	uint32_t value;                    /* CONTEXT: which */
	uint32_t of;                       /* RESULT: of which call */
	char *handle;                      /* what a `running` answer named */
	int executions, home;              /* home: the process that its first POST went to; -1 */
	unsigned home_life;
	usec_t asked, answered, cancel_asked, cancelled; /* cancelled: the cancel was acknowledged; 0: not yet */
	handle_t exchange;                               /* the last one that asked for it */
	int cancel_home;
	unsigned cancel_life;
	bool lost;   /* its client has given up: nothing was acknowledged */
	bool waived; /* an answer may come or not: cancelled, or its session deleted */
	bool moved;  /* somebody else was asked to go on with it */
	bool failed, unknown, running;
	char *answer;
	char stream[STREAM_ID_SIZE];
	uint64_t seen;  /* number of the last event shown, of its stream */
	uint64_t *hash; /* of each event, from 1 */
	int tries;
	struct timer follow;
};
/* A value that a member of the session's context was to have, by its number. */
struct value {
	usec_t asked, acknowledged; /* 0: not yet */
};
struct session_kept {
	int index;
	const char *subject;
	bool modern;
	char id[130], handle[16];
	bool acknowledged, deleting, deleted;
	struct value schema[CHANGES_MAX], warehouse[CHANGES_MAX];
	size_t schema_n, warehouse_n; /* number 0 is the beginning */
	struct timer acts;
};
extern struct op ops[OPS_MAX + 1];
extern uint32_t ops_n;
extern struct session_kept sessions[SESSIONS_MAX];
extern int sessions_n;

void people_begin(void);
void people_end(void);
void people_last(void);          /* each session is asked once more */
bool people_wait(void);          /* does anybody still wait for something that will come? */
void people_leave(void);         /* whoever is still connected leaves */
void people_broken(int replica); /* its connections end */
void people_transport(struct replica *r);
void people_check(void);
/* The statement of this call begins, in this context. */
void people_executed(uint32_t op, const char *schema, const char *warehouse);

/* ---- snow.c: Snowflake ---- */

void snow_begin(void);
void snow_end(void);
void snow_wire(struct replica *r);
void snow_check(void);

/* ---- cloud.c: the store ---- */

void cloud_begin(void);
void cloud_end(void);
void cloud_commit(void *replica, struct store_work *first);
void cloud_lives(struct replica *r); /* a new process: it has seen nothing */
/* Are the events of this stream up to `number` in the store? */
bool cloud_has(const char *stream, uint64_t number);
size_t cloud_under_way(char *which, size_t size); /* operations that have not ended */

#endif
