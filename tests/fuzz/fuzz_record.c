/* Any bytes as what the store gives back: records of sessions and operations, and events of their streams. What is read
 * is whole, what was not sealed by us is never read, and what a record says is said again when it is written. */
#include <stdlib.h>
#include <string.h>

#include "../../src/gateway/journal.h"
#include "snowgate/session.h"
#include "snowgate/wheel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CEILING ((size_t)8 << 20)
#define ID      "0123456789abcdef"

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static const struct seal_keys keys = {.n = 2, .v = {{{1}}, {{2}}}}, older = {.n = 1, .v = {{{2}}}},
			      foreign = {.n = 1, .v = {{{3}}}};
static const struct principal somebody = {PRINCIPAL_KEY, "", "somebody", ""};

/* ---- a session ---- */

static struct session_table *table_make(char id[SESSION_ID_SIZE])
{
	struct session_names ended;
	const char *why;
	struct session_table *t =
	    session_table_new(session_keys_new(NULL, &why), (struct session_limits){8, 8, USEC_PER_S, 1000000},
			      stream_pool_new(STREAMS_BYTES_MAX));
	struct session *s = session_new(t, &somebody, REVISION_2025_11_25, NULL, &ended);

	memcpy(id, s->id, SESSION_ID_SIZE);
	session_end(t, s);
	return t;
}

/* Reads the record, writes it again. */
static bool session_again(struct session_table *t, struct slice record, struct buf *out)
{
	struct session *s = session_restore(t, record, &somebody);

	if (!s)
		return false;
	expect(session_record(out, s));
	session_end(t, s);
	return true;
}

static void try_session(struct slice text)
{
	static char id[SESSION_ID_SIZE];
	static struct session_table *t;
	struct buf b = buf_with_ceiling(CEILING), first = buf_with_ceiling(CEILING), second = buf_with_ceiling(CEILING);
	json_t *record = NULL;

	t = t ? t : table_make(id);
	expect(!session_again(t, text, &first)); /* it has no id of ours */
	if (json_parse(text, JSON_DEPTH_MAX, &record, NULL, 0) == JSON_OK && json_is_object(record)) {
		json_object_set_new(record, "id", json_string(id));
		expect(json_write(&b, record));
	}
	if (b.n && session_again(t, buf_slice(&b), &first)) {
		expect(session_again(t, buf_slice(&first), &second));
		expect(first.n == second.n && memcmp(first.data, second.data, first.n) == 0);
	}
	expect(session_count(t) == 0);
	json_decref(record);
	buf_free(&b);
	buf_free(&first);
	buf_free(&second);
}

/* ---- an operation ---- */

static void try_call(struct journal *j)
{
	static const struct conf conf = {.listen_max_body = 1 << 20};
	struct request *rq = journal_request(j, &conf);
	struct call c = {.arena = arena_new(CEILING)};

	if (rq)
		expect(rq->body.n <= (size_t)conf.listen_max_body && principal_equal(&rq->principal, &j->principal));
	(void)!journal_restore(&c, j->sealed);
	arena_free(c.arena);
	request_free(rq);
}

static bool try_operation(struct slice record)
{
	struct journal j;

	if (!journal_read(&j, &keys, ID, 7, record))
		return false;
	expect(j.version == 7 && strcmp(j.id, ID) == 0);
	expect(strlen(j.stream) < sizeof j.stream && strlen(j.request_id) < sizeof j.request_id &&
	       strlen(j.handle) < sizeof j.handle && strlen(j.digest) < sizeof j.digest);
	expect(j.principal.kind > PRINCIPAL_NONE && j.principal.kind <= PRINCIPAL_TOKEN);
	(void)journal_over(&j);
	try_call(&j);
	journal_clear(&j);
	return true;
}

/* The first line is the record, the rest is what it holds sealed, by a key of ours that is not the first. */
static void try_sealed(struct slice text)
{
	const char *line = memchr(text.data, '\n', text.n);
	struct slice outer = {text.data, line ? (size_t)(line - text.data) : text.n};
	struct slice inner = {line ? line + 1 : "", line ? text.n - outer.n - 1 : 0};
	struct buf sealed = buf_with_ceiling(CEILING), b = buf_with_ceiling(CEILING);
	json_t *record = NULL;

	if (json_parse(outer, JSON_DEPTH_MAX, &record, NULL, 0) == JSON_OK && json_is_object(record)) {
		expect(journal_seal(&sealed, &older, ID, inner));
		expect(base64_encode(&b, sealed.data, sealed.n));
		json_object_set_new(record, "sealed", json_stringn(b.data, b.n));
		buf_clear(&b);
		expect(json_write(&b, record));
		try_operation(buf_slice(&b));
	}
	json_decref(record);
	buf_free(&sealed);
	buf_free(&b);
}

/* ---- an event ---- */

static void try_event(struct slice raw)
{
	struct buf text = buf_with_ceiling(CEILING);
	char kind = journal_event_read(&text, &keys, ID, raw);

	expect(!kind || (raw.n == 1 && strchr("elrcx", kind)));
	expect(text.n == 0);
	buf_free(&text);
}

/* What was sealed comes back, for whom it was sealed only, and not where a bit has changed. */
static void try_sealed_event(struct slice text)
{
	struct buf event = buf_with_ceiling(CEILING), back = buf_with_ceiling(CEILING);
	size_t at;

	expect(journal_event_write(&event, &keys, ID, 'e', text));
	expect(journal_event_read(&back, &keys, ID, buf_slice(&event)) == 'e');
	expect(back.n == text.n && (text.n == 0 || memcmp(back.data, text.data, text.n) == 0));
	buf_clear(&back);
	if (text.n) {
		expect(!journal_event_read(&back, &keys, "fedcba9876543210", buf_slice(&event)));
		expect(!journal_event_read(&back, &foreign, ID, buf_slice(&event)));
		at = 1 + (size_t)(uint8_t)text.data[0] % (event.n - 1);
		event.data[at] = (char)(event.data[at] ^ (1 << (text.n & 7)));
		expect(!journal_event_read(&back, &keys, ID, buf_slice(&event)) && back.n == 0);
	}
	buf_free(&event);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice text = {n ? (const char *)data + 1 : "", n ? n - 1 : 0};

	if (n == 0)
		return 0;
	clock_set_virtual(1000 * USEC_PER_S, 1700000000 * USEC_PER_S);
	switch (data[0]) {
	case 's':
		try_session(text);
		break;
	case 'o':
		try_operation(text);
		break;
	case 'O':
		try_sealed(text);
		break;
	case 'E':
		try_sealed_event(text);
		break;
	default:
		try_event(text);
	}
	return 0;
}
