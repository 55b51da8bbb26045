/* Reads a ResultSet: rows through the row reader, and all around them as JSON text that is parsed when it is whole. */
#include "snowgate/resultset.h"

#include <string.h>

#include "resultset_rows.h"
#include "snowgate/err.h"

#define DEPTH_MAX 128 /* of what is around the rows */
/* A column or partition of a few bytes of JSON takes a struct and two texts. */
#define HEAD_MAX (8 * RESULTSET_AROUND_MAX)

enum place { PLACE_START, PLACE_AROUND, PLACE_EARLY, PLACE_ROWS, PLACE_AFTER, PLACE_BAD };
enum member { MEMBER_OTHER, MEMBER_DATA, MEMBER_META };

struct resultset {
	enum place place;
	bool first, bare;
	struct row_reader rows;
	struct buf around;  /* the document without its rows and its metadata, which are [] and null here */
	struct buf early;   /* rows that came before the metadata: the text of the array */
	struct slice again; /* what of `early` is yet to be read */
	/* within `around` */
	size_t depth, key, value;
	bool in_string, behind_backslash, wants_key, wants_value;
	enum member member;
	bool has_data, has_meta;
	/* what came of it */
	struct arena *arena;
	bool has_head;
	struct resultset_head head;
	json_t *root;
	const char **children;
	struct resultset_tail tail;
};

struct resultset *resultset_new(bool first, size_t keep)
{
	struct resultset *r = xalloc(sizeof(*r));

	r->first = first;
	r->rows.keep = keep;
	r->around = buf_with_ceiling(RESULTSET_AROUND_MAX);
	r->early = buf_with_ceiling(RESULTSET_EARLY_MAX);
	return r;
}

void resultset_free(struct resultset *r)
{
	if (!r)
		return;
	row_reader_free(&r->rows);
	buf_free(&r->around);
	buf_free(&r->early);
	arena_free(r->arena);
	json_decref(r->root);
	free(r->children);
	free(r);
}

const struct cell *resultset_row(const struct resultset *r, size_t *n)
{
	*n = r->rows.cells_n;
	return r->rows.cells;
}

size_t resultset_rows(const struct resultset *r)
{
	return r->rows.rows;
}

size_t resultset_held(const struct resultset *r)
{
	return r->rows.text_room + r->around.capacity + r->early.capacity;
}

const struct resultset_head *resultset_head(const struct resultset *r)
{
	return r->has_head ? &r->head : NULL;
}

const struct resultset_tail *resultset_tail(const struct resultset *r)
{
	return &r->tail;
}

/* ---- metadata and tail ---- */

static bool partitions_read(struct resultset *r, const json_t *info)
{
	size_t n = json_array_size(info);

	if (!n)
		return true;
	r->head.partition_rows = arena_alloc(r->arena, n * sizeof(*r->head.partition_rows));
	if (!r->head.partition_rows)
		return false;
	for (size_t i = 0; i < n; i++) {
		int64_t rows = json_int_of(json_array_get(info, i), "rowCount", -1);

		if (rows < 0)
			return false;
		r->head.partition_rows[i] = (size_t)rows;
	}
	r->head.partitions_n = n;
	return true;
}

static bool head_read(struct resultset *r, struct slice text)
{
	json_t *meta = NULL;

	if (json_parse_trusted(text, &meta) != JSON_OK)
		return false;
	r->arena = arena_new(HEAD_MAX);
	r->head.total_rows = json_int_of(meta, "numRows", -1);
	if (r->head.total_rows < 0)
		r->head.total_rows = -1;
	r->has_head =
	    columns_read(r->arena, json_object_get(meta, "rowType"), &r->head.columns, &r->head.columns_n) == ERR_OK &&
	    partitions_read(r, json_object_get(meta, "partitionInfo"));
	json_decref(meta);
	return r->has_head;
}

static void children_read(struct resultset *r, const json_t *handles)
{
	size_t n = json_array_size(handles);

	if (!n)
		return;
	r->children = xalloc(n * sizeof(*r->children));
	for (size_t i = 0; i < n; i++)
		if (json_is_string(json_array_get(handles, i)))
			r->children[r->tail.children_n++] = json_string_value(json_array_get(handles, i));
	r->tail.children = r->children;
}

static void tail_read(struct resultset *r)
{
	const json_t *stats = json_object_get(r->root, "stats");
	struct resultset_tail *t = &r->tail;

	t->code = json_text_of(r->root, "code");
	t->sqlstate = json_text_of(r->root, "sqlState");
	t->message = json_text_of(r->root, "message");
	t->handle = json_text_of(r->root, "statementHandle");
	t->has_stats = json_is_object(stats);
	t->inserted = json_int_of(stats, "numRowsInserted", 0);
	t->updated = json_int_of(stats, "numRowsUpdated", 0);
	t->deleted = json_int_of(stats, "numRowsDeleted", 0);
	t->duplicates = json_int_of(stats, "numDuplicateRowsUpdated", 0);
	children_read(r, json_object_get(r->root, "statementHandles"));
}

/* A ResultSet has both rows and metadata, a later partition rows; an answer of another kind has neither. */
static bool document_end(struct resultset *r)
{
	if (r->first ? r->has_data != r->has_head : !r->has_data)
		return false;
	if (json_parse_trusted(buf_slice(&r->around), &r->root) != JSON_OK)
		return false;
	buf_free(&r->around);
	tail_read(r);
	r->place = PLACE_AFTER;
	return true;
}

/* ---- around the rows ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The key as it is meant: it may be written with escapes. */
static bool key_is(struct slice token, const char *name)
{
	json_t *key = NULL;
	bool is;

	if (!memchr(token.data, '\\', token.n))
		return token.n == strlen(name) + 2 && memcmp(token.data + 1, name, token.n - 2) == 0;
	if (json_parse_trusted(token, &key) != JSON_OK)
		return false;
	is = json_is_string(key) && strcmp(json_string_value(key), name) == 0;
	json_decref(key);
	return is;
}

/* False where it came before. */
static bool key_end(struct resultset *r)
{
	struct slice token = {r->around.data + r->key, r->around.n - r->key};

	r->wants_key = false;
	r->member = key_is(token, "data")                ? MEMBER_DATA
		    : key_is(token, "resultSetMetaData") ? MEMBER_META
							 : MEMBER_OTHER;
	return !(r->member == MEMBER_DATA && r->has_data) && !(r->member == MEMBER_META && r->has_meta);
}

/* At the comma or bracket behind a member of the document. Metadata is read, and not kept as text. */
static bool member_end(struct resultset *r, bool *head)
{
	bool is_meta = r->member == MEMBER_META;

	r->member = MEMBER_OTHER;
	if (!is_meta || !r->first)
		return true;
	r->has_meta = true;
	if (!head_read(r, (struct slice){r->around.data + r->value, r->around.n - r->value}))
		return false;
	r->around.n = r->value;
	*head = true;
	return buf_adds(&r->around, "null");
}

static const char *string_skip(struct resultset *r, const char *p, const char *end)
{
	for (; p < end && r->in_string; p++) {
		if (r->behind_backslash)
			r->behind_backslash = false;
		else if (*p == '\\')
			r->behind_backslash = true;
		else if (*p == '"')
			r->in_string = false;
	}
	return p;
}

/* The rows begin: read at once, or kept until there is metadata. */
static const char *data_begin(struct resultset *r, const char *p)
{
	r->has_data = true;
	r->wants_value = false;
	if (!r->first || r->has_head) {
		r->place = PLACE_ROWS;
		return buf_adds(&r->around, "[]") ? p + 1 : NULL;
	}
	r->place = PLACE_EARLY;
	r->depth = 0;
	return buf_adds(&r->around, "[]") ? p : NULL;
}

static bool sign_step(struct resultset *r, char c, bool *head)
{
	bool is_end = c == '}' || c == ']';

	if (r->depth == 1 && (c == ',' || is_end) && !member_end(r, head))
		return false;
	if (!buf_addc(&r->around, c))
		return false;
	if (c == '{' || c == '[')
		return ++r->depth <= DEPTH_MAX;
	if (is_end)
		return --r->depth > 0 || document_end(r);
	if (r->depth == 1 && c == ',')
		r->wants_key = true;
	if (r->depth == 1 && c == ':') {
		r->value = r->around.n;
		r->wants_value = true;
	}
	return true;
}

/* White space, or what is neither that nor a sign. */
static const char *plain_end(const char *p, const char *end)
{
	bool space = is_space(*p);

	while (p < end && is_space(*p) == space && (!*p || !strchr("\"{}[],:", *p)))
		p++;
	return p;
}

/* A string or what of one is here, or text without signs. */
static const char *text_step(struct resultset *r, const char *p, const char *end)
{
	const char *start = p;
	bool is_string = r->in_string || *p == '"';

	if (is_string && !r->in_string) {
		r->in_string = true;
		r->key = r->around.n;
		p++;
	}
	if (is_string)
		p = string_skip(r, p, end);
	else
		p = plain_end(p, end);
	if (!buf_add(&r->around, start, (size_t)(p - start)))
		return NULL;
	if (is_string && !r->in_string && r->depth == 1 && r->wants_key && !key_end(r))
		return NULL;
	return p;
}

static const char *around_step(struct resultset *r, const char *p, const char *end, bool *head)
{
	char c = *p;

	if (!r->in_string && r->wants_value && !is_space(c)) {
		r->wants_value = false;
		if (r->member == MEMBER_DATA && c == '[')
			return data_begin(r, p);
	}
	if (r->in_string || !c || !strchr("{}[],:", c))
		return text_step(r, p, end);
	return sign_step(r, c, head) ? p + 1 : NULL;
}

static const char *start_step(struct resultset *r, const char *p)
{
	if (is_space(*p))
		return p + 1;
	r->place = PLACE_AROUND;
	if (*p == '{') {
		r->depth = 1;
		r->wants_key = true;
		return buf_addc(&r->around, '{') ? p + 1 : NULL;
	}
	if (*p != '[' || r->first)
		return NULL;
	r->place = PLACE_ROWS;
	r->bare = r->has_data = true;
	return p + 1;
}

/* Keeps the rows, their brackets included. */
static const char *early_step(struct resultset *r, const char *p, const char *end)
{
	const char *start = p;

	if (r->in_string) {
		p = string_skip(r, p, end);
	} else {
		r->in_string = *p == '"';
		r->depth += *p == '[' || *p == '{';
		r->depth -= *p == ']' || *p == '}';
		p++;
	}
	if (!buf_add(&r->early, start, (size_t)(p - start)))
		return NULL;
	if (r->depth == 0) {
		r->depth = 1;
		r->place = PLACE_AROUND;
	}
	return p;
}

static const char *after_step(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p == end ? p : NULL;
}

static const char *step(struct resultset *r, const char *p, const char *end, bool *head)
{
	switch (r->place) {
	case PLACE_START:
		return start_step(r, p);
	case PLACE_AROUND:
		return around_step(r, p, end, head);
	case PLACE_EARLY:
		return early_step(r, p, end);
	default:
		return after_step(p, end);
	}
}

/* ---- the reader ---- */

static enum resultset_event bad(struct resultset *r)
{
	r->place = PLACE_BAD;
	return RESULTSET_BAD;
}

/* RESULTSET_MORE: the input is used up or the rows are over. */
static enum resultset_event rows_next(struct resultset *r, struct slice *in)
{
	switch (row_reader_next(&r->rows, in)) {
	case STEP_ROW:
		return RESULTSET_ROW;
	case STEP_BAD:
		return bad(r);
	case STEP_END:
		r->place = r->bare ? PLACE_AFTER : PLACE_AROUND;
		return RESULTSET_MORE;
	default:
		return RESULTSET_MORE;
	}
}

static enum resultset_event around_next(struct resultset *r, struct slice *in)
{
	const char *p = in->data, *end = p + in->n;
	bool head = false;

	while (p && p < end && !head && r->place != PLACE_ROWS)
		p = step(r, p, end, &head);
	if (!p)
		return bad(r);
	*in = (struct slice){p, (size_t)(end - p)};
	if (!head)
		return RESULTSET_MORE;
	if (r->early.n)
		r->again = (struct slice){r->early.data + 1, r->early.n - 1};
	return RESULTSET_HEAD;
}

enum resultset_event resultset_next(struct resultset *r, struct slice *in)
{
	enum resultset_event event = RESULTSET_MORE;

	if (r->place == PLACE_BAD)
		return RESULTSET_BAD;
	if (r->again.n) {
		enum place place = r->place;

		event = rows_next(r, &r->again);
		if (event != RESULTSET_MORE)
			return event;
		r->place = place;
	}
	while (event == RESULTSET_MORE && in->n)
		event = r->place == PLACE_ROWS ? rows_next(r, in) : around_next(r, in);
	return event == RESULTSET_MORE && r->place == PLACE_AFTER ? RESULTSET_END : event;
}
