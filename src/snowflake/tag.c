/* QUERY_TAG: who caused a statement, in a form that QUERY_HISTORY can be searched by. */
#include "internal.h"

#include "snowgate/crypt.h"

#include <string.h>

#define TAG_MAX  2000 /* characters, Snowflake's limit */
#define HASH_HEX 16

/* The first eight bytes of a SHA-256: tells the same from others, and who it is only to those who know the name. */
static void add_hash(struct buf *b, const char *name, const void *data, size_t n)
{
	struct sha256 hash = crypt_sha256(data, n);

	buf_addf(b, ",\"%s\":\"", name);
	for (size_t i = 0; i < HASH_HEX / 2; i++)
		buf_addf(b, "%02x", hash.bytes[i]);
	buf_addc(b, '"');
}

static void add_text(struct buf *b, const char *name, const char *text)
{
	if (!text || !text[0])
		return;
	buf_addf(b, ",\"%s\":", name);
	json_write_string(b, text, strlen(text));
}

static void add_principal(struct buf *b, const struct principal *p)
{
	struct buf bytes = buf_with_ceiling(1024);

	principal_encode(&bytes, p);
	add_hash(b, "principal", bytes.data, bytes.n);
	buf_free(&bytes);
}

/* The client's own tag is kept where it fits. */
static void add_client_tag(struct buf *b, const struct statement *s)
{
	const char *tag = json_text_of(s->context.parameters, "QUERY_TAG");
	struct buf text = buf_with_ceiling(4 * TAG_MAX);

	add_text(&text, "tag", tag);
	if (!buf_failed(&text) && b->n + text.n < TAG_MAX)
		buf_add(b, buf_text(&text), text.n);
	buf_free(&text);
}

bool statement_tag(struct buf *b, const struct call *c, const struct statement *s)
{
	char trace[TRACE_ID_SIZE];

	buf_adds(b, "{\"app\":");
	json_write_string(b, call_conf(c)->snowflake_query_tag, strlen(call_conf(c)->snowflake_query_tag));
	add_principal(b, &c->request->principal);
	if (c->session_id[0])
		add_hash(b, "session", c->session_id, strlen(c->session_id));
	add_text(b, "tool", c->method == MCP_TOOLS_CALL ? json_text_of(c->rpc.params, "name") : c->rpc.method);
	if (trace_id(c->request->traceparent, trace))
		add_text(b, "trace", trace);
	add_text(b, "request", c->request->id);
	add_client_tag(b, s);
	return buf_addc(b, '}');
}
