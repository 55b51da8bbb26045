/* Writes requests and answers to a file. */
#include "record.h"

#include <stdio.h>
#include <string.h>
#include "result.h"
#include "snowgate/json.h"

#define RECORD_TEXT_MAX ((size_t)256 << 10)

struct record {
	FILE *file;
};

struct record *record_open(const char *path)
{
	FILE *file = fopen(path, "we");
	struct record *record;

	if (!file)
		return NULL;
	record = xalloc(sizeof(*record));
	record->file = file;
	return record;
}

void record_close(struct record *record)
{
	if (!record)
		return;
	(void)fclose(record->file);
	free(record);
}

static json_t *text_json(const char *text, size_t n)
{
	json_t *value = text && n <= RECORD_TEXT_MAX ? json_stringn(text, n) : NULL;

	return value ? value : json_null();
}

static enum MHD_Result add_pair(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	json_object_set_new(context, name, value ? json_string(value) : json_null());
	return MHD_YES;
}

static json_t *headers_json(const struct exchange *e)
{
	static const char *const names[] = {"User-Agent", "Accept", "Accept-Encoding", "Content-Type",
					    "X-Snowflake-Authorization-Token-Type"};
	json_t *headers = json_object();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = exchange_header(e, names[i]);

		if (value)
			json_object_set_new(headers, names[i], json_string(value));
	}
	return headers;
}

static char *bytes_copy(const char *bytes, size_t n)
{
	char *copy = xalloc(n + 1);

	if (n)
		memcpy(copy, bytes, n);
	return copy;
}

/* The answer's text, packed or not. */
static json_t *answer_json(const struct answer *a)
{
	struct answer copy = *a;
	char *text = NULL;
	json_t *value;
	size_t n;

	if (answer_size(a) > RECORD_TEXT_MAX)
		return json_null();
	copy.body = bytes_copy(a->body, a->n);
	copy.tail = bytes_copy(a->tail, a->tail_n);
	copy.release = NULL;
	answer_flatten(&copy);
	if (a->gzip)
		text = text_gunzip(copy.body, copy.n, RECORD_TEXT_MAX, &n);
	value = a->gzip ? text_json(text, text ? n : 0) : text_json(copy.body, copy.n);
	free(text);
	free(copy.body);
	free(copy.tail);
	return value;
}

void record_add(struct record *record, const struct exchange *e, bool spoiled)
{
	const struct answer *a = &e->answer;
	struct buf line = buf_with_ceiling(8 * RECORD_TEXT_MAX);
	json_t *query = json_object(), *one;

	MHD_get_connection_values(e->connection, MHD_GET_ARGUMENT_KIND, add_pair, query);
	one = json_pack("{s:s,s:s,s:o,s:o,s:o,s:i,s:s?,s:s?,s:s?,s:b,s:b,s:o}", "method", e->method, "path", e->path,
			"query", query, "headers", headers_json(e), "body", text_json(e->body.data, e->body.n),
			"status", (int)a->status, "type", a->type, "allow", a->allow, "link", a->link, "gzip", a->gzip,
			"spoiled", spoiled, "answer", answer_json(a));
	if (one && json_write(&line, one)) {
		(void)fwrite(line.data, 1, line.n, record->file);
		(void)fputc('\n', record->file);
		(void)fflush(record->file);
	}
	json_decref(one);
	buf_free(&line);
}
