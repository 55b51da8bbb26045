/* The registry: starting, ending, finding and forgetting statements. */
#include "registry.h"

#include <stdio.h>
#include <string.h>
#include "run.h"
#include "snowgate/crypt.h"
#include "snowgate/json.h"
#include "split.h"
#include "stub.h"

#define STATEMENT_MAGIC 0x73746d74u
#define BUCKETS         65536
#define EVICT_LOOK      256 /* how far an eviction looks past statements that still run */

struct registry {
	struct emulator *emulator;
	struct statement *by_handle[BUCKETS], *by_request[BUCKETS];
	struct statement *oldest, *newest;
	struct statement_counts counts;
	struct gauges *tags, *users, *executed;
	uint64_t serial; /* of handles, from a random start */
};

static const char *const state_names[] = {
    [STATEMENT_HELD] = "held",     [STATEMENT_RUNNING] = "running",     [STATEMENT_SUCCEEDED] = "succeeded",
    [STATEMENT_FAILED] = "failed", [STATEMENT_CANCELLED] = "cancelled", [STATEMENT_TIMED_OUT] = "timed_out",
};

const char *statement_state_name(enum statement_state state)
{
	return state_names[state];
}

bool statement_has_ended(const struct statement *s)
{
	return s->state > STATEMENT_RUNNING;
}

const char *statement_text(const struct statement *s)
{
	return s->text ? s->text : s->submission.sql;
}

static size_t bucket_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return (hash ^ hash >> 16) % BUCKETS;
}

static int64_t wall_ms(void)
{
	return clock_wall_usec() / 1000;
}

/* The form of Snowflake's query ids: 01, six digits of time in minutes, zeros, then what makes it unique. */
static void handle_make(struct registry *r, char out[37])
{
	uint64_t id = r->serial++;

	(void)snprintf(out, 37, "01%06x-0000-%04x-%04x-%08x%04x", (unsigned)(clock_wall() / 60) & 0xffffffu,
		       (unsigned)(id >> 48) & 0xffffu, (unsigned)(id >> 32) & 0xffffu, (unsigned)id,
		       (unsigned)(id * 40503u >> 8) & 0xffffu);
}

void registry_handle(struct registry *r, char out[37])
{
	handle_make(r, out);
}

static void list_append(struct registry *r, struct statement *s)
{
	s->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = s;
	r->newest = s;
}

static void list_remove(struct registry *r, struct statement *s)
{
	*(s->older ? &s->older->newer : &r->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &r->newest) = s->older;
}

static void link_add(struct statement **bucket, struct statement *s, struct statement_link *link, size_t offset)
{
	link->next = *bucket;
	link->prev = bucket;
	if (link->next)
		((struct statement_link *)(void *)((char *)link->next + offset))->prev = &link->next;
	*bucket = s;
}

static void link_remove(struct statement_link *link, size_t offset)
{
	if (!link->prev)
		return;
	*link->prev = link->next;
	if (link->next)
		((struct statement_link *)(void *)((char *)link->next + offset))->prev = link->prev;
	link->prev = NULL;
}

/* Children answer to their handle only: a retry of their request is the parent's. */
static void index_add(struct registry *r, struct statement *s)
{
	link_add(&r->by_handle[bucket_of(s->handle)], s, &s->of_handle, offsetof(struct statement, of_handle));
	if (!s->parent)
		link_add(&r->by_request[bucket_of(s->submission.request_id)], s, &s->of_request,
			 offsetof(struct statement, of_request));
}

static void index_remove(struct statement *s)
{
	link_remove(&s->of_handle, offsetof(struct statement, of_handle));
	link_remove(&s->of_request, offsetof(struct statement, of_request));
}

static size_t statement_bytes(const struct statement *s)
{
	return sizeof(*s) + strlen(statement_text(s)) + (s->outcome.result ? s->outcome.result->bytes : 0);
}

static void statement_leave_family(struct statement *s)
{
	for (size_t i = 0; i < s->children_n; i++)
		s->children[i]->parent = NULL;
	if (!s->parent)
		return;
	for (size_t i = 0; i < s->parent->children_n; i++) {
		if (s->parent->children[i] == s)
			s->parent->children[i] = s->parent->children[--s->parent->children_n];
	}
}

static void statement_free(struct statement *s)
{
	struct registry *r = s->registry;

	CHECK(s, STATEMENT_MAGIC);
	assert(!s->run && !s->waiters);
	timer_stop(&s->hold);
	timer_stop(&s->limit);
	timer_stop(&s->wait);
	index_remove(s);
	list_remove(r, s);
	r->counts.kept--;
	r->counts.bytes -= statement_bytes(s);
	statement_leave_family(s);
	free(s->children);
	free(s->text);
	outcome_free(&s->outcome);
	submission_free(&s->submission);
	s->magic = 0;
	free(s);
}

/* The newest stays in any case: whoever made it still uses it. */
static void registry_evict(struct registry *r)
{
	struct statement *s = r->oldest, *next;

	for (size_t i = 0; s && s != r->newest && i < EVICT_LOOK; i++, s = next) {
		next = s->newer;
		if (r->counts.kept <= STATEMENTS_MAX && r->counts.bytes <= RESULT_BYTES_MAX)
			return;
		if (statement_has_ended(s) && !s->run && !s->waiters)
			statement_free(s);
	}
}

static void count_end(struct registry *r, enum statement_state state)
{
	r->counts.running--;
	r->counts.cancelled += state == STATEMENT_CANCELLED;
	r->counts.succeeded += state == STATEMENT_SUCCEEDED;
	r->counts.failed += state == STATEMENT_FAILED;
	r->counts.timed_out += state == STATEMENT_TIMED_OUT;
}

static void statement_end(struct statement *s, enum statement_state state)
{
	struct statement_waiter *waiter;

	timer_stop(&s->hold);
	timer_stop(&s->limit);
	timer_stop(&s->wait);
	s->state = state;
	s->ended_ms = wall_ms();
	count_end(s->registry, state);
	gauge_leave(s->by_user);
	if (s->by_tag)
		gauge_leave(s->by_tag);
	s->registry->counts.bytes += s->outcome.result ? s->outcome.result->bytes : 0;
	while ((waiter = s->waiters)) {
		statement_unwait(waiter);
		waiter->ended(waiter);
	}
}

static void statement_settle(struct statement *s, struct outcome *outcome)
{
	s->outcome = *outcome;
	memset(outcome, 0, sizeof(*outcome));
	statement_end(s, s->outcome.code[0] ? STATEMENT_FAILED : STATEMENT_SUCCEEDED);
}

static void on_waited(struct timer *timer)
{
	struct statement *s = container_of(timer, struct statement, wait);

	statement_end(s, s->outcome.code[0] ? STATEMENT_FAILED : STATEMENT_SUCCEEDED);
}

static struct result_options options_of(const struct registry *r, const struct submission *submission)
{
	struct result_options options = {r->emulator->partition_bytes, submission->null_is_text,
					 r->emulator->bare_partitions};

	if (!options.partition_bytes)
		options.partition_bytes =
		    submission->chunk_mib ? (size_t)submission->chunk_mib << 20 : EMULATOR_PARTITION_BYTES;
	if (options.partition_bytes > EMULATOR_PARTITION_BYTES_MAX)
		options.partition_bytes = EMULATOR_PARTITION_BYTES_MAX;
	return options;
}

static void execute_stub(struct statement *s, const struct result_options *options)
{
	struct outcome outcome = {.code = ""};
	usec_t wait;

	stub_run(&s->submission, options, &outcome, &wait);
	if (!wait) {
		statement_settle(s, &outcome);
		return;
	}
	s->outcome = outcome;
	s->wait.fire = on_waited;
	timer_set(s->registry->emulator->wheel, &s->wait, clock_now() + wait);
}

void statement_arrives(struct statement *s)
{
	if (s->attempts < ARRIVALS_KEPT)
		s->arrivals_ms[s->attempts] = wall_ms();
	s->attempts++;
}

static struct statement *statement_add(struct registry *r, struct submission *submission, struct statement *parent,
				       char *text)
{
	struct statement *s = xalloc(sizeof(*s));

	s->magic = STATEMENT_MAGIC;
	s->registry = r;
	s->submission = *submission;
	memset(submission, 0, sizeof(*submission));
	s->parent = parent;
	s->text = text;
	s->created_ms = wall_ms();
	statement_arrives(s);
	handle_make(r, s->handle);
	list_append(r, s);
	index_add(r, s);
	r->counts.kept++;
	r->counts.bytes += statement_bytes(s);
	return s;
}

/* One statement of a multi-statement request, with a handle of its own under which its result is found. It shares the
 * parent's body. */
static struct statement *child_add(struct statement *parent, struct run *run, size_t i)
{
	struct submission submission;
	struct statement *child;

	submission_copy(&parent->submission, &run->contexts[i].context, &submission);
	child = statement_add(parent->registry, &submission, parent, TAKE(run->texts[i]));
	child->outcome = run->outcomes[i];
	memset(&run->outcomes[i], 0, sizeof(run->outcomes[i]));
	child->registry->counts.bytes += child->outcome.result ? child->outcome.result->bytes : 0;
	child->executions = 1;
	child->created_ms = run->started_ms[i];
	child->state = child->outcome.code[0] ? STATEMENT_FAILED : STATEMENT_SUCCEEDED;
	child->ended_ms = wall_ms();
	return child;
}

static void multi_outcome(const struct run *run, struct outcome *outcome)
{
	char *done = "Multiple statements executed successfully.", message[1024];
	struct engine_column column = {.name = (char *)"multiple statement execution",
				       .type = (char *)"text",
				       .precision = -1,
				       .scale = -1,
				       .length = 16777216,
				       .byte_length = 16777216};
	struct engine_result rows = {.columns = &column, .columns_n = 1, .cells = &done, .rows_n = 1};
	const struct outcome *last = &run->outcomes[run->outcomes_n - 1];

	if (last->code[0]) {
		(void)snprintf(message, sizeof(message), "Statement %zu of %zu failed: %s: %.900s", run->outcomes_n,
			       run->texts_n, last->code, last->message);
		outcome_fail(outcome, "100132", "P0000", message);
	} else {
		outcome->result = result_cut(&rows, &run->options);
	}
}

static void multi_settle(struct statement *s, struct run *run)
{
	struct outcome outcome = {.code = ""};

	multi_outcome(run, &outcome);
	s->children = xalloc(run->texts_n * sizeof(struct statement *));
	for (size_t i = 0; i < run->outcomes_n; i++)
		s->children[s->children_n++] = child_add(s, run, i);
	statement_settle(s, &outcome);
}

static void on_run_done(struct run *run, void *owner)
{
	struct statement *s = owner;
	struct registry *r = s->registry;

	CHECK(s, STATEMENT_MAGIC);
	s->run = NULL;
	if (!statement_has_ended(s)) {
		if (run->texts_n > 1)
			multi_settle(s, run);
		else
			statement_settle(s, &run->outcomes[0]);
	}
	run_free(run);
	registry_evict(r);
}

static void texts_free(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void count_execution(struct statement *s)
{
	struct registry *r = s->registry;
	const char *id = s->submission.request_id;

	s->executions++;
	r->counts.executions++;
	gauge_leave(gauge_enter(r->executed, s->submission.user));
	for (struct statement *o = r->by_request[bucket_of(id)]; o; o = o->of_request.next) {
		if (o != s && o->executions && !strcmp(o->submission.request_id, id) &&
		    !strcmp(o->submission.user, s->submission.user)) {
			r->counts.repeated++;
			return;
		}
	}
}

/* The count of statements is checked before anything runs. A text without any goes to the engine as it is. */
static void execute_engine(struct statement *s, const struct result_options *options)
{
	struct outcome outcome = {.code = ""};
	struct emulator *emulator = s->registry->emulator;
	size_t n;
	char **texts = sql_split(s->submission.sql, &n), message[160];

	if (n > 0 && s->submission.statements && (int64_t)n != s->submission.statements) {
		(void)snprintf(message, sizeof(message),
			       "Actual statement count %zu did not match the desired statement count %lld.", n,
			       (long long)s->submission.statements);
		outcome_fail(&outcome, "000008", "0A000", message);
		texts_free(texts, n);
		statement_settle(s, &outcome);
		return;
	}
	if (n < 2) {
		texts_free(texts, n);
		texts = xalloc(sizeof(*texts));
		texts[0] = xstrdup(s->submission.sql);
		n = 1;
	}
	count_execution(s);
	s->run = run_new(emulator->engine, &s->submission, texts, n, options);
	run_post(s->run, emulator->pool, on_run_done, s);
}

static void statement_execute(struct statement *s)
{
	struct result_options options = options_of(s->registry, &s->submission);

	s->state = STATEMENT_RUNNING;
	if (!s->registry->emulator->stub) {
		execute_engine(s, &options);
		return;
	}
	count_execution(s);
	execute_stub(s, &options);
}

static void on_hold_over(struct timer *timer)
{
	statement_execute(container_of(timer, struct statement, hold));
}

static void on_limit(struct timer *timer)
{
	struct statement *s = container_of(timer, struct statement, limit);
	char message[128];

	(void)snprintf(message, sizeof(message),
		       "Statement reached its statement or warehouse timeout of %lld second(s) and was canceled.",
		       (long long)s->submission.timeout_s);
	if (s->run)
		run_cancel(s->run);
	outcome_fail(&s->outcome, "000630", "57014", message);
	statement_end(s, STATEMENT_TIMED_OUT);
}

void statement_cancel(struct statement *s)
{
	assert(!statement_has_ended(s));
	if (s->run)
		run_cancel(s->run);
	outcome_fail(&s->outcome, "000604", "57014", "SQL execution canceled");
	statement_end(s, STATEMENT_CANCELLED);
}

/* A tag that is an object and names a principal counts under that name: the rest of it differs with each statement. */
static struct gauge *tag_enter(struct gauges *tags, const char *tag)
{
	const char *principal = NULL;
	struct gauge *gauge;
	json_t *object = NULL;

	if (json_parse(slice_of(tag), JSON_DEPTH_MAX, &object, NULL, 0) == JSON_OK)
		principal = json_text_of(object, "principal");
	gauge = gauge_enter(tags, principal ? principal : tag);
	json_decref(object);
	return gauge;
}

struct statement *statement_start(struct registry *r, struct submission *submission, usec_t hold)
{
	struct statement *s = statement_add(r, submission, NULL, NULL);
	usec_t now = clock_now();

	r->counts.submitted++;
	if (++r->counts.running > r->counts.max_running)
		r->counts.max_running = r->counts.running;
	s->by_user = gauge_enter(r->users, s->submission.user);
	if (s->submission.query_tag)
		s->by_tag = tag_enter(r->tags, s->submission.query_tag);
	s->limit.fire = on_limit;
	timer_set(r->emulator->wheel, &s->limit, now + s->submission.timeout_s * USEC_PER_S);
	if (hold > 0) {
		s->hold.fire = on_hold_over;
		timer_set(r->emulator->wheel, &s->hold, now + hold);
	} else {
		statement_execute(s);
	}
	registry_evict(r);
	return s;
}

static bool statement_is_of(const struct statement *s, const char *user)
{
	return (!user || !strcmp(s->submission.user, user)) &&
	       wall_ms() - s->created_ms < RESULT_LIFE_S * INT64_C(1000);
}

struct statement *statement_by_handle(struct registry *r, const char *handle, const char *user)
{
	for (struct statement *s = r->by_handle[bucket_of(handle)]; s; s = s->of_handle.next) {
		if (!strcmp(s->handle, handle))
			return statement_is_of(s, user) ? s : NULL;
	}
	return NULL;
}

/* The newest comes first in its bucket. */
struct statement *statement_by_request(struct registry *r, const char *request_id, const char *user)
{
	for (struct statement *s = r->by_request[bucket_of(request_id)]; s; s = s->of_request.next) {
		if (!strcmp(s->submission.request_id, request_id) && statement_is_of(s, user))
			return s;
	}
	return NULL;
}

void statement_wait(struct statement *s, struct statement_waiter *waiter)
{
	waiter->next = s->waiters;
	waiter->prev = &s->waiters;
	if (waiter->next)
		waiter->next->prev = &waiter->next;
	s->waiters = waiter;
}

void statement_unwait(struct statement_waiter *waiter)
{
	if (!waiter->prev)
		return;
	*waiter->prev = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	waiter->prev = NULL;
}

struct registry *registry_new(struct emulator *emulator)
{
	struct registry *r = xalloc(sizeof(*r));

	r->emulator = emulator;
	r->tags = gauges_new();
	r->users = gauges_new();
	r->executed = gauges_new();
	crypt_random(&r->serial, sizeof(r->serial));
	return r;
}

void registry_stop(struct registry *r)
{
	for (struct statement *s = r->oldest; s; s = s->newer) {
		if (!statement_has_ended(s))
			statement_cancel(s);
	}
}

void registry_free(struct registry *r)
{
	while (r->oldest)
		statement_free(r->oldest);
	gauges_free(r->tags);
	gauges_free(r->users);
	gauges_free(r->executed);
	free(r);
}

const struct statement_counts *registry_counts(const struct registry *r)
{
	return &r->counts;
}

json_t *registry_gauges(const struct registry *r, bool by_tag)
{
	return gauges_json(by_tag ? r->tags : r->users);
}

json_t *registry_executions(const struct registry *r)
{
	json_t *gauges = gauges_json(r->executed), *all = json_object(), *one;
	const char *name;

	json_object_foreach(gauges, name, one) json_object_set(all, name, json_object_get(one, "total"));
	json_decref(gauges);
	return all;
}

void registry_reset(struct registry *r)
{
	struct statement_counts *c = &r->counts;

	for (struct statement *s = r->oldest, *next; s; s = next) {
		next = s->newer;
		if (statement_has_ended(s) && !s->run && !s->waiters)
			statement_free(s);
	}
	*c = (struct statement_counts){
	    .running = c->running, .max_running = c->running, .kept = c->kept, .bytes = c->bytes};
	gauges_reset(r->tags);
	gauges_reset(r->users);
	gauges_reset(r->executed);
}

struct statement *registry_newest(struct registry *r)
{
	return r->newest;
}
