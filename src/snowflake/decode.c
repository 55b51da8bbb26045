/* Answers with rows become columns, partitions and pages; on SNOWFLAKE where they are small, on a WORKER where not. */
#include "internal.h"

static bool add_partition(struct statement *s, size_t *first, size_t rows)
{
	s->partitions[s->partitions_n].first = *first;
	s->partitions[s->partitions_n].rows = rows;
	s->partitions_n++;
	*first += rows;
	return *first >= rows;
}

/* partitionInfo; without one (or with a single one, whose count the data knows better) all is in partition 0. */
static int read_partitions(struct arena *a, struct statement *s, const json_t *info, size_t here)
{
	size_t n = json_array_size(info), i, first = 0;
	json_t *entry;

	s->partitions_n = s->pages_n = s->raw_bytes = 0;
	s->partitions = arena_alloc(a, sizeof *s->partitions * (n ? n : 1));
	s->pages = arena_alloc(a, sizeof *s->pages * (n ? n : 1));
	if (!s->partitions || !s->pages)
		return ERR_NOMEM;
	if (n < 2)
		return add_partition(s, &first, here) ? ERR_OK : ERR_UPSTREAM_ANSWER;
	json_array_foreach(info, i, entry)
	{
		int64_t rows = json_int_of(entry, "rowCount", -1);
		if (rows < 0 || !add_partition(s, &first, (size_t)rows))
			return ERR_UPSTREAM_ANSWER;
	}
	return ERR_OK;
}

static void read_stats(struct statement *s, const json_t *stats)
{
	s->has_stats = json_is_object(stats);
	s->inserted = json_int_of(stats, "numRowsInserted", 0);
	s->updated = json_int_of(stats, "numRowsUpdated", 0);
	s->deleted = json_int_of(stats, "numRowsDeleted", 0);
	s->duplicates = json_int_of(stats, "numDuplicateRowsUpdated", 0);
}

static int read_head(struct arena *a, struct statement *s, const json_t *root, size_t here)
{
	const json_t *meta = json_object_get(root, "resultSetMetaData");
	int64_t total = json_int_of(meta, "numRows", -1);
	int err;

	if (!s->handle[0])
		(void)handle_copy(s->handle, json_text_of(root, "statementHandle"));
	if ((err = columns_read(a, json_object_get(meta, "rowType"), &s->columns, &s->columns_n)))
		return err;
	if ((err = read_partitions(a, s, json_object_get(meta, "partitionInfo"), here)))
		return err;
	s->total_rows = s->partitions[s->partitions_n - 1].first + s->partitions[s->partitions_n - 1].rows;
	if (total >= 0 && s->partitions_n > 1 && (size_t)total != s->total_rows)
		return ERR_UPSTREAM_ANSWER;
	read_stats(s, json_object_get(root, "stats"));
	return ERR_OK;
}

static bool is_wanted(const struct statement *s, size_t partition)
{
	size_t first = s->partitions[partition].first, end = first + s->partitions[partition].rows;
	size_t last = s->rows > SIZE_MAX - s->offset ? SIZE_MAX : s->offset + s->rows;

	return s->rows && first < end && first < last && end > s->offset;
}

static int keep_page(struct arena *a, struct statement *s, size_t partition, json_t *rows)
{
	if (!is_wanted(s, partition))
		return ERR_OK;
	if (!arena_attach(a, json_incref(rows), json_release))
		return ERR_NOMEM;
	s->pages[s->pages_n].first = s->partitions[partition].first;
	s->pages[s->pages_n++].rows = rows;
	s->raw_bytes += s->raw.n;
	return ERR_OK;
}

/* The next partition of the window; none once the byte budget is used up. */
static void find_next(struct statement *s, size_t from)
{
	s->next_partition = from;
	if (s->bytes && s->pages_n && s->raw_bytes >= s->bytes)
		s->next_partition = s->partitions_n;
	while (s->next_partition < s->partitions_n && !is_wanted(s, s->next_partition))
		s->next_partition++;
}

static int decode_root(struct arena *a, struct statement *s, json_t *root)
{
	size_t partition = (size_t)s->raw_partition, n;
	json_t *rows = json_is_array(root) ? root : json_object_get(root, "data");
	int err;

	if (!json_is_array(rows))
		return ERR_UPSTREAM_ANSWER;
	n = json_array_size(rows);
	if (partition == 0 && (err = read_head(a, s, root, n)))
		return err;
	if (partition >= s->partitions_n || s->partitions[partition].rows != n)
		return ERR_UPSTREAM_ANSWER;
	if ((err = keep_page(a, s, partition, rows)))
		return err;
	find_next(s, partition + 1);
	return ERR_OK;
}

int statement_decode(struct arena *a, struct statement *s)
{
	json_t *root = NULL;
	int err;

	if (json_parse_trusted(buf_slice(&s->raw), &root) != JSON_OK)
		return ERR_UPSTREAM_ANSWER;
	err = decode_root(a, s, root);
	json_decref(root);
	return err;
}

/* Touches the call only: the job of it is SNOWFLAKE's. fetch judges what came out. */
static enum verdict decode(struct call *c)
{
	struct statement *s = call_statement(c);

	s->raw_fault = (enum err)statement_decode(c->arena, s);
	buf_free(&s->raw);
	if (!s->raw_fault)
		s->tries = 0;
	return call_goto(c, STEP_fetch);
}

enum verdict step_decode(struct call *c)
{
	return decode(c);
}

enum verdict step_decode_large(struct call *c)
{
	return decode(c);
}
