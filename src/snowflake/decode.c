/* Answers with rows are read in slices: on SNOWFLAKE where they are small, on a WORKER where not. A row goes where it
 * is wanted as soon as it is read: to the gateway's own cells, or to the text that its client gets. */
#include "internal.h"

#include "snowgate/mail.h"

#include <string.h>

/* A cell is shown cut to the budget; one that is JSON may have white space that is not shown. */
#define KEPT_CELL(shown) ((shown) > SIZE_MAX / 4 ? SIZE_MAX : 2 * (shown) + 4096)
#define OWN_CELL         ((size_t)4 << 20)   /* of the gateway's own statements: the text of a view */
#define WHOLE_CELL       ((size_t)32 << 20)  /* a longer one is no longer shown whole, and the download fails */
#define TEXT_SPARE       ((size_t)256 << 10) /* of the first row, beyond the budget */
#define WHOLE_TEXT       ((size_t)256 << 20)
#define WHOLE_FREE       ((size_t)1 << 20) /* of a row and its text, that does not count: most pieces are smaller */

static size_t keep_of(const struct statement *s)
{
	if (s->whole)
		return WHOLE_CELL;
	return s->metadata ? OWN_CELL : KEPT_CELL(s->budget.cell);
}

static int begin(struct arena *a, struct statement *s)
{
	if (!s->reader && !(s->reader = reader_cell(a)))
		return ERR_NOMEM;
	if (!*s->reader)
		*s->reader = reader_new(keep_of(s));
	if (s->raw_begins)
		reader_begin(*s->reader, (size_t)s->raw_partition, s->raw_gzip);
	s->raw_begins = false;
	return ERR_OK;
}

/* ---- metadata ---- */

static int columns_copy(struct arena *a, struct statement *s, const struct resultset_head *head)
{
	s->columns = arena_alloc(a, (head->columns_n ? head->columns_n : 1) * sizeof *s->columns);
	s->columns_n = head->columns_n;
	for (size_t i = 0; s->columns && i < head->columns_n; i++) {
		s->columns[i] = head->columns[i];
		s->columns[i].name = arena_strdup(a, head->columns[i].name);
		s->columns[i].type = arena_strdup(a, head->columns[i].type);
		if (!s->columns[i].name || !s->columns[i].type)
			return ERR_NOMEM;
	}
	return s->columns ? ERR_OK : ERR_NOMEM;
}

/* Which columns are text already is kept with the metadata, for who reads on in them. With what parameters a statement
 * ran that is asked for by its handle nobody knows. */
int decode_open(struct arena *a, struct statement *s)
{
	const struct reader *r = *s->reader;
	const struct resultset_head *head = reader_columns(r);

	if (s->kind == STATEMENT_RUN)
		columns_formatted(head->columns, head->columns_n, s->context.parameters);
	if (columns_copy(a, s, head) != ERR_OK)
		return ERR_NOMEM;
	s->partitions_n = r->partitions_n;
	s->total_rows = r->total == READER_UNKNOWN ? 0 : r->total;
	if (!s->rows)
		return ERR_OK;
	if (s->metadata) {
		s->cells = cells_new(a, s->columns_n, s->bytes);
		return s->cells ? ERR_OK : ERR_NOMEM;
	}
	buf_free(&s->text);
	s->text = buf_with_ceiling(s->whole ? WHOLE_TEXT : s->budget.bytes + TEXT_SPARE);
	rows_begin(&s->writer, s->format, s->columns, s->columns_n, s->budget, &s->text);
	return buf_failed(&s->text) ? ERR_NOMEM : ERR_OK;
}

/* ---- rows ---- */

static bool is_full(const struct statement *s)
{
	return s->rows_n >= s->rows || s->writer.cut != CUT_NONE;
}

/* More rows than the metadata have announced: they would stand where the next partition's belong. */
static bool is_surplus(const struct reader *r)
{
	const struct partition *p = r->partition < r->partitions_n ? &r->partitions[r->partition] : NULL;

	return p && p->rows != READER_UNKNOWN && r->at >= p->first + p->rows;
}

/* False where the window is full without it. */
static bool row_take(struct statement *s, struct reader *r)
{
	const struct cell *row;
	size_t n;
	bool taken;

	if (r->at < s->offset + s->rows_n) {
		r->at++;
		return true;
	}
	if (is_full(s))
		return false;
	row = resultset_row(r->set, &n);
	taken = s->cells ? cells_add(s->cells, row, n) : rows_add(&s->writer, row, n);
	if (!taken && s->cells)
		s->rows = s->rows_n; /* more than the gateway keeps of its own */
	s->rows_n += taken;
	r->at += taken;
	return taken;
}

/* Rows are counted to the end where only they tell how many there are and all are here, and where what stands behind
 * them is needed: the statement's handle. */
static bool is_counting(const struct statement *s, const struct reader *r)
{
	if (!s->handle[0])
		return true;
	return r->partitions_n == 1 && (r->total == READER_UNKNOWN || (s->raw_last && s->raw.n <= CALL_LARGE));
}

/* Of a partition that ends here the little that is left is read, so that its connection stays usable. */
static bool row_is_last(const struct statement *s, const struct reader *r)
{
	const struct partition *p = &r->partitions[r->partition];

	return is_full(s) && !is_counting(s, r) && r->at < (p->rows == READER_UNKNOWN ? r->total : p->first + p->rows);
}

static bool failed_to_write(const struct statement *s)
{
	return buf_failed(&s->text);
}

/* ---- the end of a partition ---- */

static int children_copy(struct arena *a, struct statement *s, const struct resultset_tail *tail)
{
	size_t skip = s->settings && tail->children_n > 1 ? 1 : 0, n = tail->children_n - skip;
	const char **v = arena_alloc(a, n * sizeof *v);

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (!(v[i] = arena_strdup(a, tail->children[skip + i])))
			return ERR_NOMEM;
	if (!handle_copy(s->handle, v[n - 1]))
		return ERR_UPSTREAM_ANSWER;
	s->children = v;
	s->children_n = n;
	return ERR_OK;
}

/* The rows of a request of several statements are the last one's: what came is forgotten, and that is read instead. */
static int turn_to_child(struct arena *a, struct statement *s, const struct resultset_tail *tail)
{
	int err = children_copy(a, s, tail);

	if (err)
		return err;
	reader_free(*s->reader);
	*s->reader = NULL;
	buf_free(&s->text);
	s->writer = (struct rows_writer){.format = s->format};
	s->cells = NULL;
	s->columns_n = s->rows_n = s->total_rows = s->partitions_n = 0;
	return ERR_OK;
}

static int read_tail(struct arena *a, struct statement *s, struct reader *r)
{
	const struct resultset_tail *tail = resultset_tail(r->set);

	if (!s->handle[0])
		(void)handle_copy(s->handle, tail->handle);
	s->has_stats = tail->has_stats;
	s->inserted = tail->inserted;
	s->updated = tail->updated;
	s->deleted = tail->deleted;
	s->duplicates = tail->duplicates;
	if (r->partitions_n == 1)
		s->total_rows = r->total = r->at;
	return tail->children_n && !s->children_n ? turn_to_child(a, s, tail) : ERR_OK;
}

static void find_next(struct statement *s, const struct reader *r, size_t from)
{
	s->next_partition = from;
	while (s->next_partition < s->partitions_n &&
	       (s->writer.cut != CUT_NONE || !reader_wants(r, s, s->next_partition)))
		s->next_partition++;
}

static int end_partition(struct arena *a, struct statement *s, struct reader *r)
{
	const struct partition *p = r->partition < r->partitions_n ? &r->partitions[r->partition] : NULL;
	size_t partition = r->partition;
	int err = ERR_OK;

	if (!p || (p->rows != READER_UNKNOWN && resultset_rows(r->set) != p->rows))
		return ERR_UPSTREAM_ANSWER;
	if (partition == 0)
		err = read_tail(a, s, r);
	if (!err && *s->reader)
		find_next(s, r, partition + 1);
	s->fed = FED_END;
	return err;
}

/* ---- slices ---- */

enum step_of { GO_ON, STOP, FAIL };

/* Not wanted: passed over, but where the rest of it is here or tells the statement's handle. */
static bool skips(const struct statement *s, const struct reader *r)
{
	return !s->raw_last && s->handle[0] && !reader_wants(r, s, r->partition) &&
	       (s->partitions_n > 1 || r->total != READER_UNKNOWN);
}

static enum step_of on_head(struct arena *a, struct statement *s, struct reader *r, int *err)
{
	if (!reader_head(r)) {
		*err = ERR_UPSTREAM_ANSWER;
		return FAIL;
	}
	if (!s->columns_n && (*err = decode_open(a, s)))
		return FAIL;
	if (!skips(s, r))
		return GO_ON;
	find_next(s, r, r->partition + 1);
	s->fed = FED_SKIP;
	return STOP;
}

static enum step_of on_row(struct statement *s, struct reader *r, int *err)
{
	if (is_surplus(r)) {
		*err = ERR_UPSTREAM_ANSWER;
		return FAIL;
	}
	if (!row_take(s, r)) {
		if (failed_to_write(s)) {
			*err = ERR_NOMEM;
			return FAIL;
		}
		if (is_counting(s, r)) {
			r->at++;
			return GO_ON;
		}
		r->pending = true;
		s->fed = FED_FULL;
		return STOP;
	}
	r->pending = false;
	if (s->whole && s->writer.cells_cut) {
		*err = ERR_NOMEM;
		return FAIL;
	}
	s->fed = row_is_last(s, r) ? FED_FULL : FED_PIECE;
	return s->fed == FED_FULL || (s->whole && s->text.n >= PIECE) ? STOP : GO_ON;
}

/* Bytes for the reader; STOP where there are none. */
static enum step_of on_more(struct arena *a, struct statement *s, struct reader *r, size_t most, size_t *read, int *err)
{
	if (*read >= most && (s->raw_at < s->raw.n || r->more)) {
		s->fed = FED_SLICE;
		return STOP;
	}
	if (!reader_input(r, &s->raw, &s->raw_at)) {
		*err = ERR_UPSTREAM_ANSWER;
		return FAIL;
	}
	*read += r->in.n;
	if (r->in.n)
		return GO_ON;
	s->fed = FED_MORE;
	if (!s->raw_last)
		return STOP;
	*err = reader_complete(r) ? end_partition(a, s, r) : ERR_UPSTREAM_ANSWER;
	return *err ? FAIL : STOP;
}

static enum step_of on_event(struct arena *a, struct statement *s, struct reader *r, size_t most, size_t *read,
			     int *err)
{
	switch (resultset_next(r->set, &r->in)) {
	case RESULTSET_MORE:
		return on_more(a, s, r, most, read, err);
	case RESULTSET_HEAD:
		return on_head(a, s, r, err);
	case RESULTSET_ROW:
		return on_row(s, r, err);
	case RESULTSET_END:
		r->ended = true;
		return on_more(a, s, r, most, read, err);
	case RESULTSET_BAD:
		break;
	}
	*err = ERR_UPSTREAM_ANSWER;
	return FAIL;
}

int statement_decode(struct arena *a, struct statement *s, size_t most)
{
	size_t read = 0;
	int err = begin(a, s);
	enum step_of step = err ? FAIL : GO_ON;

	if (step == GO_ON && (*s->reader)->pending)
		step = on_row(s, *s->reader, &err);
	while (step == GO_ON)
		step = on_event(a, s, *s->reader, most, &read, &err);
	return step == FAIL ? (err ? err : ERR_UPSTREAM_ANSWER) : ERR_OK;
}

/* ---- the steps ---- */

/* A download's row and its text may take what hundreds of others do: they count as held for all, and of that only up
 * to a half, so that other answers go on. False: it is too much. */
static bool charge(const struct statement *s)
{
	struct reader *r = *s->reader;
	size_t now = r ? s->text.capacity + (r->set ? resultset_held(r->set) : 0) : 0;

	if (!r)
		return true;
	now -= now < WHOLE_FREE ? now : WHOLE_FREE;
	if (now > r->charged && !(results_spare() && results_take(now - r->charged)))
		return false;
	if (now < r->charged)
		results_give(r->charged - now);
	r->charged = now;
	return true;
}

/* Touches the call only: the job of it is SNOWFLAKE's. fetch judges what came out. */
static enum step decode(struct call *c, size_t most)
{
	struct statement *s = call_statement(c);

	s->raw_fault = (enum err)statement_decode(c->arena, s, most);
	if (!s->raw_fault && s->whole && !charge(s)) {
		s->raw_fault = ERR_OVERLOADED;
		buf_free(&s->text);
	}
	if (s->raw_fault || (s->fed != FED_SLICE && s->fed != FED_PIECE))
		return STEP_fetch;
	return s->fed == FED_PIECE ? STEP_emit : STEP_decode_large;
}

enum verdict step_decode(struct call *c)
{
	struct job *j = call_statement(c)->job;

	return statement_go(c, j, decode(c, DECODE_HERE));
}

/* One slice in a visit, then to the back of the queue. */
enum verdict step_decode_large(struct call *c)
{
	enum step next = decode(c, DECODE_A_VISIT);

	if (next != STEP_decode_large)
		return call_goto(c, next);
	mail_post(THREAD_WORKER, &c->mail);
	return WAIT;
}
