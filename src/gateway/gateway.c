/* The gateway as a whole: start, reload, drain, stop. */
#include "gateway_internal.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "snowgate/kill.h"

#define TICKETS_MAX             100000u
#define ACCOUNTS_MAX            100000u
#define SWEEP_EVERY             (5 * USEC_PER_S)
#define UPDATES_PER_SECOND_BITS 20    /* no process counts faster, so the next one begins above this one's end */
#define EXPIRE_SLICE            10000 /* streams forgotten in one turn */
#define DRAIN_LOOK              (20 * USEC_PER_MS)
#define DRAIN_LAST              (2 * USEC_PER_S) /* for the last answers to leave */

struct gateway gateway;

/* Old snapshots, kept while a request is served under them. */
struct retired {
	const struct conf *conf;
	struct retired *next;
};

/* owner: main */
static struct {
	pthread_t net;
	bool drained;
} self;

/* ---- NET: upkeep ---- */

static struct session_limits limits_of_sessions(const struct conf *conf)
{
	return (struct session_limits){(size_t)conf->session_max, (size_t)conf->session_max_per_principal,
				       conf->session_idle_ttl, conf->session_absolute_ttl / USEC_PER_S};
}

static void retired_free(void)
{
	for (struct retired **at = &gateway.retired; *at;) {
		struct retired *r = *at;

		if (conf_users(r->conf) > 0 || gateway.transport->uses(gateway.transport, r->conf)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		conf_free(r->conf);
		free(r);
	}
}

static void sweep(struct timer *t)
{
	static int64_t shown, dropped, kept; /* what the metrics tell so far */
	int64_t sessions, bytes, lost = (int64_t)log_dropped();

	session_expire(gateway.sessions, clock_now());
	stream_expire(gateway.streams, clock_now() - gateway.conf->mcp_stream_keep, EXPIRE_SLICE);
	account_sweep(gateway.accounts, clock_now());
	retired_free();
	if (clock_wall() >= gateway.keys_expire)
		reload_listeners();
	sessions = (int64_t)session_count(gateway.sessions);
	metric_add(METRIC_sessions, NULL, sessions - shown);
	shown = sessions;
	bytes = (int64_t)stream_pool_bytes(gateway.streams);
	metric_add(METRIC_stream_bytes, NULL, bytes - kept);
	kept = bytes;
	metric_add(METRIC_log_dropped, NULL, lost - dropped);
	dropped = lost;
	timer_set(gateway.wheel, t, clock_now() + SWEEP_EVERY);
}

/* ---- NET: messages of main ---- */

struct order {
	struct mail mail;
	const struct conf *conf;
	struct keyring *keys;
};

static void conf_deliver(struct mail *m)
{
	struct order *o = container_of(m, struct order, mail);
	struct retired *r = xalloc(sizeof *r);

	OWNED_BY(THREAD_NET);
	*r = (struct retired){gateway.conf, gateway.retired};
	gateway.retired = r;
	gateway.conf = o->conf;
	session_table_limits(gateway.sessions, limits_of_sessions(o->conf));
	gateway.transport->configure(gateway.transport, o->conf);
	gateway.queue.max_running = o->conf->snowflake_max_in_flight;
	slots_pass_on();
	tools_reloaded();
	listeners_configure();
	reload_lists(r->conf, o->conf);
	reload_listeners();
	free(o);
}

void gateway_reload(const struct conf *conf)
{
	struct order *o = xalloc(sizeof *o);

	*o = (struct order){.mail = {.deliver = conf_deliver}, .conf = conf};
	mail_post(THREAD_NET, &o->mail);
}

static void keys_deliver(struct mail *m)
{
	struct order *o = container_of(m, struct order, mail);

	OWNED_BY(THREAD_NET);
	keyring_free(gateway.keys);
	gateway.keys = o->keys;
	reload_listeners();
	free(o);
}

void gateway_rekey(struct keyring *keys)
{
	struct order *o = xalloc(sizeof *o);

	*o = (struct order){.mail = {.deliver = keys_deliver}, .keys = keys};
	mail_post(THREAD_NET, &o->mail);
}

/* ---- NET: drain ---- */

/* Is all said that has to be? What was answered early may go on at Snowflake; what was cancelled or refused is waited
 * for, since its cancel is on its way. */
static bool drain_over(void)
{
	size_t open = gateway.phase == PHASE_DRAINING ? tickets_awaited() : handle_count(gateway.tickets);

	return open == 0 && gateway.transport->open(gateway.transport) == 0;
}

static void drain_last(struct timer *t)
{
	(void)t;
	gateway.transport->loop_end(gateway.transport);
}

/* What the store knows goes on at Snowflake, and is taken up again by whoever serves the store next: its client comes
 * back for the answer, to its stream or by its key. */
static bool drain_leave(struct ticket *t)
{
	struct listener *l;

	if (gateway.conf->store_kind != STORE_KIND_MEMORY && t->task.told) {
		KILL_POINT(leave_before);
		t->left = true;
		task_forget(t);
		return true;
	}
	if (gateway.conf->store_kind == STORE_KIND_MEMORY || !t->stream || !t->stream->holds || !t->journaled)
		return false;
	l = t->stream->exchange ? listener_by_exchange(t->stream->exchange) : NULL;
	if (l && !listener_can_return(l))
		return false;
	KILL_POINT(leave_before);
	t->left = true;
	ticket_leave_stream(t);
	if (l)
		listener_close(l);
	if (t->waiting || t->asking)
		ticket_cancel(t, "drain"); /* nothing of it is under way: it comes home, and its record stays */
	KILL_POINT(leave_after);
	return true;
}

/* Who takes over goes on with all that is recorded; what can be recorded now, is. */
static void drain_hand_on(handle_t h, void *object, void *ctx)
{
	struct ticket *t = object;

	(void)h, (void)ctx;
	if (ticket_answered(t) || gateway.conf->store_kind == STORE_KIND_MEMORY)
		return;
	if (!t->stream && t->tell.may_stream && t->tell.revision >= REVISION_2025_11_25 && t->by_header)
		(void)ticket_stream(t);
	(void)drain_leave(t);
}

static void drain_look(struct timer *t)
{
	if (gateway.succeeded)
		handle_each(gateway.tickets, drain_hand_on, NULL);
	if (drain_over())
		gateway.transport->loop_end(gateway.transport);
	else
		timer_set(gateway.wheel, t, clock_now() + DRAIN_LOOK);
}

static void drain_answer(const struct ticket *t, struct answer *a)
{
	struct mcp_fault fault = {ERR_DRAINING, "the gateway is shutting down and the call did not end in time", NULL};

	if (*t->result)
		answer_no_result(a, err_info(fault.err)->http, fault.err, fault.message, t->result);
	else
		answer_error(a, NULL, t->modern ? ERA_MODERN : ERA_LEGACY, ticket_request_id(t), &fault);
	answer_retry_after(a, USEC_PER_S);
}

/* A write that may have been sent is recorded, and left as well: its client comes back by its key, or, without one,
 * must not send it again. */
static void drain_refuse(handle_t h, void *object, void *ctx)
{
	bool durable = gateway.conf->store_kind != STORE_KIND_MEMORY;
	struct ticket *t = object;
	bool sent = *t->write && !t->waiting && !t->asking;
	struct answer a;

	(void)h, (void)ctx;
	if (ticket_answered(t) || drain_leave(t))
		return;
	if (sent && !(t->keyed && durable))
		answer_unknown(&a, t->tell.revision, ticket_request_id(t), t->write);
	else
		drain_answer(t, &a);
	ticket_answer(t, &a);
	t->left = sent && durable;
	if (!t->left)
		ticket_cancel(t, "drain");
}

/* The time is up: who still waits is answered, and what runs for him is cancelled. */
static void drain_timeout(struct timer *t)
{
	log_event(LOG_WARN, "drain_timeout", log_number("calls", tickets_unanswered()));
	gateway.phase = PHASE_REFUSING;
	handle_each(gateway.tickets, drain_refuse, NULL);
	t->fire = drain_last;
	timer_set(gateway.wheel, t, clock_now() + DRAIN_LAST);
}

void drain_begin(void)
{
	struct transport *t = gateway.transport;

	OWNED_BY(THREAD_NET);
	if (gateway.phase != PHASE_SERVING) {
		timer_set(gateway.wheel, &gateway.drain, clock_now());
		return;
	}
	gateway.phase = PHASE_DRAINING;
	t->listen_off(t);
	gateway.succeeded = t->lives_on && t->lives_on(t);
	log_event(LOG_INFO, "draining", log_number("calls", tickets_unanswered()),
		  log_bool("succeeded", gateway.succeeded));
	listeners_drain();
	gateway.drain.fire = drain_timeout;
	timer_set(gateway.wheel, &gateway.drain,
		  clock_now() + (gateway.succeeded ? gateway.conf->listen_handover_drain : gateway.conf->listen_drain));
	gateway.look.fire = drain_look;
	timer_set(gateway.wheel, &gateway.look, clock_now());
}

static void drain_deliver(struct mail *m)
{
	free(m);
	drain_begin();
}

void gateway_drain(void)
{
	struct mail *m = xalloc(sizeof *m);

	m->deliver = drain_deliver;
	mail_post(THREAD_NET, m);
}

/* ---- the NET thread ---- */

static void drained_deliver(struct mail *m)
{
	(void)m;
	self.drained = true;
}

static void go_on(handle_t h, void *object, void *ctx)
{
	(void)h, (void)ctx;
	export_go_on(object);
}

/* Streams that are still open end with the transport, which reports nobody gone any more. */
static void net_end(struct transport *t)
{
	t->stop(t);
	while (gateway.listeners.oldest)
		listener_gone(gateway.listeners.oldest);
}

static void net_main(void *arg)
{
	static struct mail drained = {.deliver = drained_deliver};

	(void)arg;
	gateway.sweep.fire = sweep;
	timer_set(gateway.wheel, &gateway.sweep, clock_now() + SWEEP_EVERY);
	leases_start();
	gateway.transport->loop(gateway.transport);
	net_end(TAKE(gateway.transport));
	handle_each(gateway.tickets, go_on, NULL); /* nobody makes room any more */
	mail_post(THREAD_MAIN, &drained);
}

bool gateway_drained(void)
{
	return self.drained;
}

/* ---- start ---- */

#define KEYS_BYTES_MAX (64 * 1024)

/* Keys that others may read are no secret. */
static bool keys_are_private(const char *path, char *why, size_t size)
{
	struct stat st;

	if (stat(path, &st) == 0 && !(st.st_mode & 077))
		return true;
	snprintf(why, size, "%s holds signing keys and others may read or write it (mode %03o); run: chmod 600 %s",
		 path, st.st_mode & 0777, path);
	return false;
}

/* A database needs the keys that signed what is in it: those beside it, made with it. Whoever comes second takes the
 * first one's. */
static char *keys_beside(const char *path, char *why, size_t size)
{
	struct buf line = buf_with_ceiling(2 * SHA256_BYTES + 2);
	uint8_t key[SHA256_BYTES];
	char *text = file_read(path, KEYS_BYTES_MAX, NULL);

	if (!text && errno == ENOENT) {
		crypt_random(key, sizeof key);
		hex_encode(&line, key, sizeof key);
		buf_addc(&line, '\n');
		if (file_folder(path) && (file_write_new(path, buf_slice(&line)) || errno == EEXIST))
			text = file_read(path, KEYS_BYTES_MAX, NULL);
		crypt_wipe(key, sizeof key);
		crypt_wipe(line.data, line.n);
	}
	if (!text)
		snprintf(why, size, "%s: %s", path, strerror(errno));
	buf_free(&line);
	if (text && !keys_are_private(path, why, size)) {
		crypt_wipe(text, strlen(text));
		free(TAKE(text));
	}
	return text;
}

static char *keys_read(const struct conf *conf, char path[PATH_MAX], char *why, size_t size)
{
	char *text;

	if (!*conf->session_key_file) {
		snprintf(path, PATH_MAX, "%s.key", conf->store_path);
		return keys_beside(path, why, size);
	}
	snprintf(path, PATH_MAX, "%s", conf->session_key_file);
	text = file_read(path, KEYS_BYTES_MAX, NULL);
	if (!text)
		snprintf(why, size, "session.key_file %s: %s", path, strerror(errno));
	return text;
}

/* With the memory store and no file, keys of this process alone. */
static struct session_keys *keys_load(const struct conf *conf, char *why, size_t size)
{
	bool kept = *conf->session_key_file || conf->store_kind == STORE_KIND_SQLITE;
	const char *reason = NULL;
	struct session_keys *keys;
	char path[PATH_MAX] = "", *text = NULL;

	if (kept && !(text = keys_read(conf, path, why, size)))
		return NULL;
	keys = session_keys_new(text, &reason);
	if (!keys)
		snprintf(why, size, "%s%s: %s", *conf->session_key_file ? "session.key_file " : "", path, reason);
	if (text)
		crypt_wipe(text, strlen(text));
	free(text);
	return keys;
}

#define HANDLE_KEYS_MAX 16

static size_t keys_derive(struct sha256 keys[HANDLE_KEYS_MAX], const char *purpose)
{
	size_t n = 0;

	while (n < HANDLE_KEYS_MAX && session_keys_derive(gateway.session_keys, n, purpose, &keys[n]))
		n++;
	return n;
}

static void keys_set(void)
{
	struct sha256 handles[HANDLE_KEYS_MAX];
	size_t n = keys_derive(handles, "statement handle");
	struct seal_keys cursors;

	cursors.n = keys_derive(cursors.v, "cursor");
	gateway.sealing.n = keys_derive(gateway.sealing.v, "request state");
	gateway.journal.n = keys_derive(gateway.journal.v, "journal");
	tools_set_keys(handles, n, &cursors);
	crypt_wipe(handles, sizeof handles);
	crypt_wipe(&cursors, sizeof cursors);
}

static void state_new(const struct conf *conf, struct keyring *keys)
{
	gateway.conf = conf;
	gateway.keys = keys;
	gateway.stored = true;
	gateway.forgotten.last = &gateway.forgotten.first;
	crypt_random(&gateway.asked,
		     sizeof gateway.asked); /* no two processes that share sessions ask by the same ids */
	gateway.asked >>= 16;
	gateway.streams = stream_pool_new(STREAMS_BYTES_MAX);
	gateway.sessions = session_table_new(gateway.session_keys, limits_of_sessions(conf), gateway.streams);
	for (int i = 0; i < CHANGES_N; i++) /* a client of the process before this one is behind */
		gateway.listeners.now[i] = (uint64_t)clock_wall();
	gateway.listeners.now[CHANGES_N] = (uint64_t)clock_wall() << UPDATES_PER_SECOND_BITS;
	gateway.accounts = account_table_new(ACCOUNTS_MAX);
	gateway.tickets = handle_table_new(TICKETS_MAX);
	gateway.wheel = wheel_new();
	gateway.queue.max_running = conf->snowflake_max_in_flight;
	tools_load();
	keys_set();
}

static void state_free(void)
{
	forgotten_free();
	wheel_free(gateway.wheel);
	handle_table_free(gateway.tickets);
	account_table_free(gateway.accounts);
	session_table_free(gateway.sessions);
	stream_pool_free(gateway.streams);
	for (size_t i = 0; i < ARRAY_LEN(gateway.listeners.updated); i++) {
		free(gateway.listeners.updated[i].uri);
		free(gateway.listeners.updated[i].connection);
	}
	crypt_wipe(&gateway.sealing, sizeof gateway.sealing);
	crypt_wipe(&gateway.journal, sizeof gateway.journal);
	session_keys_free(gateway.session_keys);
	keyring_free(gateway.keys);
	tools_free();
	while (gateway.retired) {
		struct retired *r = gateway.retired;

		gateway.retired = r->next;
		conf_free(r->conf);
		free(r);
	}
	conf_free(gateway.conf);
	gateway = (struct gateway){0};
}

struct health {
	struct mail mail;
	bool ready;
};

static void health_deliver(struct mail *m)
{
	struct health *h = container_of(m, struct health, mail);

	OWNED_BY(THREAD_NET);
	gateway.stored = h->ready;
	if (h->ready)
		leases_wait();
	free(h);
}

static void store_health(bool ready, const char *why)
{
	struct health *h = xalloc(sizeof *h);

	log_event(ready ? LOG_INFO : LOG_ERROR, ready ? "store_ready" : "store_not_ready", log_text("reason", why));
	*h = (struct health){.mail = {.deliver = health_deliver}, .ready = ready};
	mail_post(THREAD_NET, &h->mail);
}

static const struct store_ops store_ops = {.health = store_health, .heard = replica_heard};
static const struct snowflake_ops upstream_ops = {.answer_early = answer_early, .notice = call_notice};

static bool drivers_start(const struct conf *conf, transport_start_f *start, char *why, size_t size)
{
	if (!store_start(conf, &store_ops, why, size))
		return false;
	if (!snowflake_start(conf, &upstream_ops, why, size)) {
		store_stop();
		return false;
	}
	worker_start();
	gateway.transport = start(conf, &front_ops, gateway.wheel, why, size);
	if (gateway.transport)
		return true;
	worker_stop();
	snowflake_stop();
	store_stop();
	return false;
}

/* A buffer from this size on is a mapping of its own and goes back to the system when it is freed. Left to itself the C
 * library raises the limit with each one freed, and then every thread keeps the largest answers that it has made. What
 * is free at the end of a heap is given back from twice as much on, so that small calls do not pay for it. */
#define MAPPED_FROM (1 << 20)

bool gateway_start(const struct conf *conf, struct keyring *keys, transport_start_f *start, char *why, size_t why_size)
{
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * MAPPED_FROM);
	gateway.session_keys = keys_load(conf, why, why_size);
	if (!gateway.session_keys) {
		keyring_free(keys);
		conf_free(conf);
		return false;
	}
	state_new(conf, keys);
	if (!drivers_start(conf, start, why, why_size)) {
		state_free();
		return false;
	}
	thread_start(THREAD_NET, net_main, NULL, &self.net);
	return true;
}

/* ---- stop ---- */

/* What comes home after NET has ended finds no exchange, and ends here. */
static void late_calls_end(void)
{
	thread_play(THREAD_NET);
	mail_deliver(THREAD_NET);
	thread_play(THREAD_MAIN);
}

void gateway_stop(void)
{
	thread_join(self.net);
	worker_stop();
	snowflake_stop();
	late_calls_end();
	store_stop();
	late_calls_end();
	state_free();
}
