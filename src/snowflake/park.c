/* Results that were read in part: the request is held where its last reader stopped, for the one who asks for the next
 * rows, so that nothing is fetched twice. Few, and not for long; who comes too late or asks for other rows fetches them
 * as ever. */
#include "internal.h"

#include <string.h>

#define PARKED_MAX        16 /* each has WINDOW and a little more */
#define PARKED_PER_PERSON 2
#define PARKED_FOR        (60 * USEC_PER_S)

struct parked {
	struct parked *next; /* newest first */
	struct timer timer;
	char handle[64];
	uint8_t connection[sizeof((struct connection *)NULL)->id];
	struct principal principal;
	size_t row; /* the next one */
	struct reader *reader;
	struct source *source; /* of the partition at hand; NULL: it has ended */
	struct buf raw;
	size_t raw_at, next_partition, held;
	int raw_partition;
	bool raw_last, raw_gzip;
	enum fed fed;
};
static struct parked *parks; /* owner: SNOWFLAKE */

static void unlink_parked(struct parked *p)
{
	struct parked **at = &parks;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	timer_stop(&p->timer);
}

static void parked_free(struct parked *p)
{
	reader_free(p->reader);
	if (p->source)
		source_free(p->source);
	results_give(p->held);
	buf_free(&p->raw);
	free(p);
}

static void drop(struct parked *p)
{
	unlink_parked(p);
	parked_free(p);
}

static void on_expiry(struct timer *t)
{
	drop(container_of(t, struct parked, timer));
}

void parks_drop(void)
{
	while (parks)
		drop(parks);
}

/* The oldest of this principal's goes, and of all. */
static void make_room(const struct principal *principal)
{
	struct parked *mine = NULL, *last = NULL;
	size_t n = 0, mine_n = 0;

	for (struct parked *p = parks; p; p = p->next) {
		last = p;
		n++;
		if (!principal_equal(&p->principal, principal))
			continue;
		mine = p;
		mine_n++;
	}
	if (mine_n >= PARKED_PER_PERSON)
		drop(mine);
	else if (n >= PARKED_MAX)
		drop(last);
}

/* The others were asked ahead of their time. */
static struct source *first_source(struct job *j, const struct statement *s)
{
	struct source *src = j->sources;

	if (!src || src->partition != (size_t)s->raw_partition)
		return NULL;
	j->sources = src->next;
	src->job = NULL;
	src->next = NULL;
	return src;
}

static size_t held_n(void)
{
	size_t n = 0;

	for (const struct parked *p = parks; p; p = p->next)
		n += p->source && p->source->sent;
	return n;
}

void park_put(struct call *c, struct job *j, struct statement *s)
{
	struct parked *p;

	if (j->sources && j->sources->sent && !fetch_may_hold(held_n()))
		return;
	p = xalloc(sizeof *p);
	make_room(&c->request->principal);
	*p = (struct parked){.next = parks,
			     .timer = {.fire = on_expiry},
			     .principal = c->request->principal,
			     .row = s->offset + s->rows_n,
			     .source = first_source(j, s),
			     .raw = s->raw,
			     .raw_at = s->raw_at,
			     .next_partition = (*s->reader)->partition + (*s->reader)->ended,
			     .held = j->held,
			     .raw_partition = s->raw_partition,
			     .raw_last = s->raw_last,
			     .raw_gzip = s->raw_gzip,
			     .fed = s->fed};
	p->reader = TAKE(*s->reader);
	memcpy(p->handle, s->handle, sizeof p->handle);
	memcpy(p->connection, c->request->policy->connection->id, sizeof p->connection);
	s->raw = buf_with_ceiling(RESULT_CEILING);
	j->held = 0;
	parks = p;
	timer_set(snowflake.wheel, &p->timer, clock_now() + PARKED_FOR);
}

static bool is_it(const struct parked *p, const struct call *c, const struct statement *s)
{
	const struct connection *connection = c->request->policy->connection;

	return p->row == s->offset && strcmp(p->handle, s->handle) == 0 &&
	       memcmp(p->connection, connection->id, sizeof p->connection) == 0 &&
	       principal_equal(&p->principal, &c->request->principal);
}

static bool cell_open(struct arena *a, struct statement *s)
{
	if (!s->reader)
		s->reader = reader_cell(a);
	return s->reader;
}

/* Full means that there is a row at hand, or more of `raw`. */
static void take(struct call *c, struct job *j, struct statement *s, struct parked *p)
{
	*s->reader = TAKE(p->reader);
	s->raw = p->raw;
	s->raw_at = p->raw_at;
	s->raw_partition = p->raw_partition;
	s->raw_last = p->raw_last;
	s->raw_gzip = p->raw_gzip;
	s->next_partition = p->next_partition;
	s->fed = p->fed == FED_FULL ? FED_SLICE : FED_MORE;
	j->held = p->held;
	while (s->next_partition < (*s->reader)->partitions_n && !reader_wants(*s->reader, s, s->next_partition))
		s->next_partition++; /* those without rows */
	p->raw = buf_with_ceiling(RESULT_CEILING);
	p->held = 0;
	if (!p->source)
		return;
	p->source->job = j;
	p->source->request.owner = j;
	p->source->request.connection = c->request->policy->connection;
	j->sources = TAKE(p->source);
}

bool park_take(struct call *c, struct job *j, struct statement *s)
{
	struct parked *p = parks;

	while (p && !is_it(p, c, s))
		p = p->next;
	if (!p || !s->rows || s->whole || !cell_open(c->arena, s))
		return false;
	unlink_parked(p);
	take(c, j, s, p);
	parked_free(p);
	s->raw_fault = (enum err)decode_open(c->arena, s);
	return true;
}
