/* Any text as session id, handle, key file and record: nothing that was not signed is ever taken for a session. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static const struct principal somebody = {PRINCIPAL_KEY, "", "somebody", ""};

/* The input as state of a session whose id is genuine. */
static void try_genuine(struct session_table *t, const char *id, const char *text)
{
	struct buf b = buf_with_ceiling((size_t)1 << 20), again = buf_with_ceiling((size_t)1 << 20);
	json_t *record = NULL;

	if (json_parse(slice_of(text), JSON_DEPTH_MAX, &record, NULL, 0) == JSON_OK && json_is_object(record)) {
		json_object_set_new(record, "id", json_string(id));
		json_object_set_new(record, "reader", json_integer(1));
		json_object_set_new(record, "revision", json_string("2025-11-25"));
		json_write(&b, record);
		struct session *s = session_restore(t, buf_slice(&b), &somebody);
		expect(s != NULL);
		expect(session_record(&again, s));
		session_end(t, s);
		expect((s = session_restore(t, buf_slice(&again), &somebody)) != NULL);
		buf_clear(&b);
		expect(session_record(&b, s));
		session_end(t, s);
	}
	json_decref(record);
	buf_free(&b);
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct session_keys *keys;
	static struct session_table *t;
	static char genuine[SESSION_ID_SIZE];
	struct session_names ended;
	const char *why;

	if (!keys) {
		keys = session_keys_new(NULL, &why);
		t = session_table_new(keys, (struct session_limits){8, 8, USEC_PER_S, 1000000},
				      stream_pool_new(STREAMS_BYTES_MAX));
		struct session *s = session_new(t, &somebody, REVISION_2025_11_25, NULL, &ended);
		memcpy(genuine, s->id, sizeof(genuine));
		session_end(t, s);
	}
	char *text = xstrndup((const char *)data, n);
	expect(!session_id_valid(t, text, &somebody));
	expect(session_by_id(t, text, &somebody) == NULL);
	expect(session_by_handle(t, text, &somebody) == NULL);
	expect(session_restore(t, slice_of(text), &somebody) == NULL);
	struct session_keys *read = session_keys_new(text, &why);
	expect(read || why);
	session_keys_free(read);
	try_genuine(t, genuine, text);
	expect(session_count(t) == 0);
	free(text);
	return 0;
}
