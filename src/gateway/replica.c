/* What replicas on one store tell each other, and what each does when it hears it. */
#include "replica.h"

#include <string.h>

/* owner: STORE */
static struct replica self;

static const char *const channels[TALES_N] = {
    [TALE_CANCEL] = "cancel", [TALE_ENDED] = "ended",     [TALE_REPLY] = "reply", [TALE_WATCHES] = "watches",
    [TALE_TAKEN] = "taken",   [TALE_UPDATED] = "updated", [TALE_TASK] = "task"};

/* ---- messages ---- */

/* What a message is bound to: no record has such a key. */
static void bound_to(char bound[32], const char *channel)
{
	snprintf(bound, 32, "tell:%s", channel);
}

bool tale_write(struct buf *b, const struct seal_keys *keys, struct replica *r, enum tale tale, json_t *message,
		int64_t now)
{
	struct buf plain = buf_with_ceiling(TALE_MAX - CRYPT_SEAL_EXTRA);
	char bound[32];
	bool fine;

	if (!message)
		return false;
	if (!*r->id) {
		uint8_t bytes[(SENDER_ID_SIZE - 1) / 2];
		struct buf hex = buf_with_ceiling(SENDER_ID_SIZE);

		crypt_random(bytes, sizeof bytes);
		hex_encode(&hex, bytes, sizeof bytes);
		memcpy(r->id, buf_text(&hex), sizeof r->id);
		buf_free(&hex);
	}
	json_object_set_new(message, "from", json_string(r->id));
	json_object_set_new(message, "number", json_integer(++r->told));
	json_object_set_new(message, "at", json_integer(now));
	bound_to(bound, channels[tale]);
	fine = json_write(&plain, message) && journal_seal(b, keys, bound, buf_slice(&plain));
	json_decref(message);
	buf_free(&plain);
	return fine;
}

static struct sender *sender_of(struct replica *r, const char *id)
{
	struct sender *oldest = r->senders;

	for (size_t i = 0; i < SENDERS_MAX; i++) {
		if (strcmp(r->senders[i].id, id) == 0)
			return &r->senders[i];
		if (r->senders[i].used < oldest->used)
			oldest = &r->senders[i];
	}
	*oldest = (struct sender){.number = 0};
	memcpy(oldest->id, id, strlen(id) + 1);
	return oldest;
}

/* Each once: they come in the order in which they were sent. */
static const char *sender_heard(struct replica *r, const json_t *message, int64_t now)
{
	const char *from = json_text_of(message, "from");
	int64_t number = json_int_of(message, "number", 0), at = json_int_of(message, "at", 0);
	struct sender *s;

	if (!from || strlen(from) != SENDER_ID_SIZE - 1)
		return "foreign";
	if (at < now - TALE_OLDEST_S || at > now + TALE_OLDEST_S)
		return "old";
	if (strcmp(from, r->id) == 0)
		return "again";
	s = sender_of(r, from);
	s->used = ++r->heard;
	if (number <= s->number)
		return "again";
	s->number = number;
	return "heard";
}

static bool tale_of(const char *channel, enum tale *tale)
{
	for (size_t i = 0; i < TALES_N; i++)
		if (strcmp(channels[i], channel) == 0) {
			*tale = (enum tale)i;
			return true;
		}
	return false;
}

const char *tale_read(const struct seal_keys *keys, struct replica *r, const char *channel, struct slice sealed,
		      int64_t now, enum tale *tale, json_t **message)
{
	struct buf plain = buf_with_ceiling(TALE_MAX);
	const char *outcome = "foreign";
	char bound[32];

	*message = NULL;
	if (!tale_of(channel, tale) || sealed.n > TALE_MAX)
		return outcome;
	bound_to(bound, channel);
	if (journal_open(&plain, keys, bound, sealed) && json_parse_trusted(buf_slice(&plain), message) == JSON_OK)
		outcome = sender_heard(r, *message, now);
	buf_free(&plain);
	if (*message && strcmp(outcome, "heard") != 0) {
		json_decref(*message);
		*message = NULL;
	}
	return outcome;
}

/* ---- telling ---- */

bool piece_tell(struct piece *p, enum tale tale, json_t *message)
{
	struct buf *value = piece_value(p, TALE_MAX);

	OWNED_BY(THREAD_STORE);
	if (!tale_write(value, &gateway.journal, &self, tale, message, clock_wall()))
		return false;
	piece_add(p, STORE_TELL, RECORD_SESSION, channels[tale])->value = buf_slice(value);
	metric_count(METRIC_replica_messages, "told");
	return true;
}

struct telling {
	struct mail mail;
	enum tale tale;
	json_t *message;
};

static void telling_done(struct store_work *w)
{
	piece_free(container_of(w, struct piece, work));
}

static void telling_deliver(struct mail *m)
{
	struct telling *t = container_of(m, struct telling, mail);
	struct piece *p = piece_alone(NULL, telling_done);

	OWNED_BY(THREAD_STORE);
	if (piece_tell(p, t->tale, t->message))
		store_post(&p->work);
	else
		piece_free(p);
	free(t);
}

void replica_tell(enum tale tale, json_t *message)
{
	struct telling *t;

	if (!store_shared()) {
		json_decref(message);
		return;
	}
	t = xalloc(sizeof *t);
	*t = (struct telling){.mail = {.deliver = telling_deliver}, .tale = tale, .message = message};
	mail_post(THREAD_STORE, &t->mail);
}

/* ---- tell: what a client said is told before it is acknowledged ---- */

static void tell_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	if (w->rc != STORE_OK)
		p->call->fault =
		    (struct mcp_fault){ERR_OVERLOADED, "the other replicas cannot be told now; try again", NULL};
	piece_call_on(p);
}

enum verdict step_tell(struct call *c)
{
	struct piece *p = piece_new(c, tell_done);

	if (piece_tell(p, (enum tale)c->tell.tale, TAKE(c->tell.message)))
		return piece_post(p, c, STEP_reply);
	piece_free(p);
	return call_fail(c, ERR_OVERLOADED, "the answer is too large to be passed on to the replica that asked for it");
}

enum verdict call_tell(struct call *c, enum tale tale, json_t *message)
{
	c->tell.tale = (int)tale;
	c->tell.message = message;
	return call_goto(c, STEP_tell);
}

/* ---- hearing ---- */

struct hearing {
	struct mail mail;
	enum tale tale;
	json_t *message;
};

static void hear_of_session(enum tale tale, struct session *s, const json_t *message)
{
	const char *request = json_text_of(message, "request");
	struct rpc rpc = {.kind = RPC_RESPONSE, .root = json_object_get(message, "answer")};

	switch (tale) {
	case TALE_CANCEL:
		if (request && !tickets_cancel(s, slice_of(request), 0, "notification"))
			adopt_unwanted(s->id, slice_of(request));
		return;
	case TALE_ENDED:
		session_gone(s, 0);
		return;
	case TALE_REPLY:
		(void)ask_answered(s, &rpc);
		return;
	case TALE_WATCHES:
		if (s->listeners)
			session_look(s);
		return;
	case TALE_TAKEN:
	case TALE_UPDATED:
	case TALE_TASK:
	case TALES_N:
		return;
	}
}

static void hear(enum tale tale, const json_t *message)
{
	const char *id = json_text_of(message, "session"), *operation = json_text_of(message, "operation"),
		   *connection = json_text_of(message, "connection"), *uri = json_text_of(message, "uri"),
		   *task = json_text_of(message, "task");
	struct session *s = id ? session_live(gateway.sessions, id) : NULL;

	if (id && tale == TALE_ENDED)
		session_gone_id(id);
	if (s)
		hear_of_session(tale, s, message);
	else if (id && tale == TALE_CANCEL)
		adopt_unwanted(id, slice_of(json_text_of(message, "request")));
	if (tale == TALE_TAKEN && operation)
		tickets_taken(operation, json_int_of(message, "version", 0));
	if (tale == TALE_UPDATED && connection && uri)
		updated_elsewhere(connection, uri);
	if (tale == TALE_TASK && task && task_id_shaped(task))
		task_heard(task, json_bool_of(message, "unwanted", false));
}

static void hearing_deliver(struct mail *m)
{
	struct hearing *h = container_of(m, struct hearing, mail);

	OWNED_BY(THREAD_NET);
	hear(h->tale, h->message);
	json_decref(h->message);
	free(h);
}

void replica_heard(const char *channel, struct slice value)
{
	struct hearing *h;
	json_t *message;
	enum tale tale;
	const char *outcome;

	OWNED_BY(THREAD_STORE);
	outcome = tale_read(&gateway.journal, &self, channel, value, clock_wall(), &tale, &message);
	metric_count(METRIC_replica_messages, outcome);
	if (!message)
		return;
	h = xalloc(sizeof *h);
	*h = (struct hearing){.mail = {.deliver = hearing_deliver}, .tale = tale, .message = message};
	mail_post(THREAD_NET, &h->mail);
}
