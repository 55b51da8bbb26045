/* How far a result has been read: its partitions, the one at hand, and the row that comes next. */
#include "internal.h"

#include <string.h>

#define CHUNK ((size_t)32 << 10) /* of a body, inflated or not, that is read in one go */

static void cell_end(void *object)
{
	struct reader **cell = object;

	reader_free(*cell);
	*cell = NULL;
}

struct reader **reader_cell(struct arena *a)
{
	struct reader **cell = arena_alloc(a, sizeof(struct reader *));

	return cell && arena_attach(a, cell, cell_end) ? cell : NULL;
}

struct reader *reader_new(size_t keep)
{
	struct reader *r = xalloc(sizeof *r);

	r->keep = keep;
	r->total = READER_UNKNOWN;
	return r;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	if (r->first != r->set)
		resultset_free(r->first);
	resultset_free(r->set);
	inflate_free(r->inflate);
	results_give(r->charged);
	free(r->chunk);
	free(r->partitions);
	free(r);
}

/* The metadata lives with the first reading of partition 0. */
void reader_begin(struct reader *r, size_t partition, bool gzip)
{
	if (r->set != r->first)
		resultset_free(r->set);
	r->set = resultset_new(partition == 0, r->keep);
	r->partition = partition;
	r->at = partition < r->partitions_n ? r->partitions[partition].first : 0;
	r->in = (struct slice){0};
	r->gzip = gzip;
	r->pending = r->ended = r->more = false;
	if (gzip && r->inflate)
		inflate_again(r->inflate);
	else if (gzip)
		r->inflate = inflate_new();
	if (gzip && !r->chunk)
		r->chunk = xalloc(CHUNK);
}

/* partitionInfo; without one, or with a single one, whose count the rows know better, all is in partition 0. */
static bool partitions_read(struct reader *r, const struct resultset_head *head)
{
	size_t n = head->partitions_n < 2 ? 1 : head->partitions_n, first = 0;

	r->partitions = xalloc(n * sizeof *r->partitions);
	r->partitions_n = n;
	if (n == 1) {
		r->partitions[0] = (struct partition){0, READER_UNKNOWN};
		r->total = head->total_rows >= 0 ? (size_t)head->total_rows : READER_UNKNOWN;
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		r->partitions[i] = (struct partition){first, head->partition_rows[i]};
		if (head->partition_rows[i] > READER_ROWS_MAX - first)
			return false;
		first += head->partition_rows[i];
	}
	r->total = first;
	return head->total_rows < 0 || (size_t)head->total_rows == first;
}

bool reader_head(struct reader *r)
{
	const struct resultset_head *head = resultset_head(r->set);

	if (r->first) /* read again: it must be the same */
		return head->columns_n == resultset_head(r->first)->columns_n &&
		       head->partitions_n == resultset_head(r->first)->partitions_n;
	r->first = r->set;
	return partitions_read(r, head);
}

const struct resultset_head *reader_columns(const struct reader *r)
{
	return r->first ? resultset_head(r->first) : NULL;
}

static bool input_inflated(struct reader *r, const struct buf *raw, size_t *at)
{
	struct slice in = {raw->data + *at, raw->n - *at};
	size_t n = 0;

	while (n == 0 && (in.n > 0 || r->more)) {
		if (!inflate_some(r->inflate, &in, r->chunk, CHUNK, &n))
			return false;
		r->more = n == CHUNK; /* there may be more without more input */
		r->in = (struct slice){r->chunk, n};
	}
	*at = raw->n - in.n;
	return true;
}

bool reader_input(struct reader *r, const struct buf *raw, size_t *at)
{
	size_t n = raw->n - *at;

	if (r->in.n > 0)
		return true;
	if (r->gzip)
		return input_inflated(r, raw, at);
	r->in = (struct slice){raw->data + *at, n < 2 * CHUNK ? n : 2 * CHUNK};
	*at += r->in.n;
	return true;
}

bool reader_complete(const struct reader *r)
{
	return r->ended && (!r->gzip || inflate_ended(r->inflate));
}

bool reader_wants(const struct reader *r, const struct statement *s, size_t partition)
{
	size_t first = r->partitions[partition].first, rows = r->partitions[partition].rows;
	size_t end = rows == READER_UNKNOWN ? READER_UNKNOWN : first + rows, from = s->offset + s->rows_n;
	size_t last = s->rows > READER_UNKNOWN - s->offset ? READER_UNKNOWN : s->offset + s->rows;

	return s->rows && first < end && first < last && end > from;
}
