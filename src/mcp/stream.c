/* Event streams: what was sent, kept within ceilings so that it can be sent again. */
#include "snowgate/stream.h"

#include <string.h>

#include "snowgate/crypt.h"

#define ID_CHARS (STREAM_ID_SIZE - 1)
#define ID_BYTES 8
static const char id_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

struct stream_pool {
	size_t bytes, bytes_max, count;
	struct stream *done_first, *done_last; /* finished ones in the order in which they ended */
};

struct stream_pool *stream_pool_new(size_t bytes_max)
{
	struct stream_pool *pool = xalloc(sizeof(*pool));
	pool->bytes_max = bytes_max;
	return pool;
}

void stream_pool_free(struct stream_pool *pool)
{
	if (!pool)
		return;
	assert(pool->count == 0 && pool->bytes == 0);
	free(pool);
}

size_t stream_pool_bytes(const struct stream_pool *pool)
{
	return pool->bytes;
}

size_t stream_pool_count(const struct stream_pool *pool)
{
	return pool->count;
}

/* ---- lists ---- */

static void set_add(struct stream_set *set, struct stream *s)
{
	s->set = set;
	s->set_prev = set->newest;
	*(set->newest ? &set->newest->set_next : &set->oldest) = s;
	set->newest = s;
	set->n++;
}

static void set_remove(struct stream *s)
{
	struct stream_set *set = s->set;
	if (!set)
		return;
	*(s->set_prev ? &s->set_prev->set_next : &set->oldest) = s->set_next;
	*(s->set_next ? &s->set_next->set_prev : &set->newest) = s->set_prev;
	set->n--;
}

static void done_add(struct stream_pool *pool, struct stream *s)
{
	s->done_prev = pool->done_last;
	s->done_next = NULL; /* it may have been in the list before: stream_take_back() */
	*(pool->done_last ? &pool->done_last->done_next : &pool->done_first) = s;
	pool->done_last = s;
}

static void done_remove(struct stream_pool *pool, struct stream *s)
{
	if (!s->finished)
		return;
	*(s->done_prev ? &s->done_prev->done_next : &pool->done_first) = s->done_next;
	*(s->done_next ? &s->done_next->done_prev : &pool->done_last) = s->done_prev;
}

/* ---- events ---- */

/* What an event counts for: its memory, so that a million of tiny ones is no way round the ceilings. */
static size_t cost_of(size_t n)
{
	return sizeof(struct stream_event) + n;
}

static void drop_first(struct stream_pool *pool, struct stream *s)
{
	struct stream_event *e = s->first;
	s->first = e->next;
	if (!s->first)
		s->newest = NULL;
	s->bytes -= cost_of(e->n);
	pool->bytes -= cost_of(e->n);
	free(e);
}

/* ---- opening and ending ---- */

/* Finished, and nobody reads it or has to do with it: it may go. */
static bool is_spare(const struct stream *s)
{
	return s->finished && !s->exchange && !s->ticket;
}

static bool drop_spare_of_set(struct stream_pool *pool, struct stream_set *set)
{
	struct stream *s = set ? set->oldest : NULL;
	while (s && !is_spare(s))
		s = s->set_next;
	if (s)
		stream_free(pool, s);
	return s != NULL;
}

static bool drop_spare(struct stream_pool *pool)
{
	struct stream *s = pool->done_first;
	while (s && !is_spare(s))
		s = s->done_next;
	if (s)
		stream_free(pool, s);
	return s != NULL;
}

static struct stream *set_find(const struct stream_set *set, const char *id)
{
	struct stream *s = set->oldest;
	while (s && strcmp(s->id, id) != 0)
		s = s->set_next;
	return s;
}

static void id_mint(const struct stream_set *set, char id[STREAM_ID_SIZE])
{
	uint8_t bits[ID_BYTES];
	struct buf text = buf_with_ceiling(ID_CHARS);
	do {
		buf_clear(&text);
		crypt_random(bits, sizeof(bits));
		base32_encode(&text, bits, sizeof(bits));
		assert(text.n == ID_CHARS);
		memcpy(id, buf_text(&text), STREAM_ID_SIZE);
	} while (set_find(set, id));
	buf_free(&text);
}

struct stream *stream_new(struct stream_pool *pool, struct stream_set *set, handle_t ticket)
{
	if (set && set->n >= STREAM_SET_MAX && !drop_spare_of_set(pool, set))
		return NULL;
	struct stream *s = xalloc(sizeof(*s));
	s->next_number = 1;
	s->ticket = ticket;
	if (set) {
		id_mint(set, s->id);
		set_add(set, s);
	}
	pool->count++;
	return s;
}

struct stream *stream_restore(struct stream_pool *pool, struct stream_set *set, const char *id, uint64_t events)
{
	if (set_find(set, id) || (set->n >= STREAM_SET_MAX && !drop_spare_of_set(pool, set)))
		return NULL;
	struct stream *s = xalloc(sizeof(*s));
	memcpy(s->id, id, STREAM_ID_SIZE);
	s->next_number = events + 1;
	s->holds = true;
	s->committed = s->posted = events;
	set_add(set, s);
	pool->count++;
	return s;
}

void stream_take_back(struct stream_pool *pool, struct stream *s)
{
	struct stream_event *e = s->newest, **at = &s->first;

	assert(s->finished && e && e->last);
	done_remove(pool, s);
	s->finished = false;
	s->newest = NULL;
	for (; *at != e; at = &(*at)->next)
		s->newest = *at;
	*at = NULL;
	s->next_number--;
	s->bytes -= cost_of(e->n);
	pool->bytes -= cost_of(e->n);
	free(e);
}

void stream_commit(struct stream *s, uint64_t number)
{
	if (number > s->committed)
		s->committed = number;
}

void stream_leave(struct stream *s)
{
	set_remove(s);
	s->set = NULL;
	s->holds = false;
}

struct stream *stream_of(const struct stream_set *set, const char *id)
{
	return set_find(set, id);
}

void stream_free(struct stream_pool *pool, struct stream *s)
{
	while (s->first)
		drop_first(pool, s);
	set_remove(s);
	done_remove(pool, s);
	pool->count--;
	free(s);
}

void stream_set_free(struct stream_pool *pool, struct stream_set *set)
{
	while (set->oldest)
		stream_free(pool, set->oldest);
}

/* ---- writing ---- */

/* Room for `cost` more bytes in the stream and in the pool. Only the last event pushes out events of its own stream. */
static bool make_room(struct stream_pool *pool, struct stream *s, size_t cost, bool last)
{
	size_t own = s->bytes + cost > STREAM_BYTES_MAX ? s->bytes + cost - STREAM_BYTES_MAX : 0;
	if (cost > STREAM_BYTES_MAX || cost > pool->bytes_max || (own && !last))
		return false;
	while (pool->bytes - own + cost > pool->bytes_max)
		if (!drop_spare_of_set(pool, s->set) && !drop_spare(pool))
			break;
	if (pool->bytes - own + cost > pool->bytes_max)
		own = pool->bytes + cost - pool->bytes_max;
	if (own > s->bytes || (own && !last))
		return false;
	for (size_t left = s->bytes - own; s->bytes > left;)
		drop_first(pool, s);
	return true;
}

bool stream_append(struct stream_pool *pool, struct stream *s, struct slice data, bool last, usec_t now)
{
	if (s->finished || data.n > STREAM_BYTES_MAX || !make_room(pool, s, cost_of(data.n), last))
		return false;
	struct stream_event *e = xalloc(cost_of(data.n));
	e->number = s->next_number++;
	e->last = last;
	e->n = data.n;
	if (data.n)
		memcpy(e->data, data.data, data.n);
	*(s->newest ? &s->newest->next : &s->first) = e;
	s->newest = e;
	s->bytes += cost_of(data.n);
	pool->bytes += cost_of(data.n);
	if (last) {
		s->finished = true;
		s->ended = now;
		done_add(pool, s);
	}
	return true;
}

/* ---- reading ---- */

const struct stream_event *stream_after(const struct stream *s, uint64_t after)
{
	const struct stream_event *e = s->first;
	if (!s->newest || s->newest->number <= after)
		return NULL;
	if (s->newest->number - 1 == after)
		e = s->newest; /* the usual case: the reader keeps up */
	while (e->number <= after)
		e = e->next;
	return s->holds && e->number > s->committed ? NULL : e;
}

void stream_sent(struct stream_pool *pool, struct stream *s, uint64_t number)
{
	while (!s->set && s->first && s->first->number <= number)
		drop_first(pool, s);
}

bool stream_over(const struct stream *s, uint64_t number)
{
	return s->finished && number >= s->next_number - 1;
}

/* ---- event ids ---- */

void stream_event_id(char id[STREAM_EVENT_ID_SIZE], const struct stream *s, uint64_t number)
{
	struct buf text = buf_with_ceiling(STREAM_EVENT_ID_SIZE - 1);
	if (s->set)
		buf_addf(&text, "%s-%llu", s->id, (unsigned long long)number);
	assert(!buf_failed(&text));
	memcpy(id, buf_text(&text), text.n + 1);
	buf_free(&text);
}

/* Digits only, no leading zero but "0" itself, below 2^63. */
static bool read_number(struct slice text, uint64_t *number)
{
	uint64_t value = 0;
	if (!text.n || text.n > 19 || (text.n > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.n; i++) { /* 19 digits stay below 2^64 */
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	if (value > INT64_MAX)
		return false;
	*number = value;
	return true;
}

bool stream_event_id_read(struct slice text, char stream[STREAM_ID_SIZE], uint64_t *number)
{
	if (!text.data || text.n < ID_CHARS + 2 || text.data[ID_CHARS] != '-')
		return false;
	for (size_t i = 0; i < ID_CHARS; i++)
		if (!text.data[i] || !strchr(id_alphabet, text.data[i]))
			return false;
	if (!read_number((struct slice){text.data + ID_CHARS + 1, text.n - ID_CHARS - 1}, number))
		return false;
	memcpy(stream, text.data, ID_CHARS);
	stream[ID_CHARS] = '\0';
	return true;
}

struct stream *stream_find(const struct stream_set *set, const char *id, uint64_t number)
{
	struct stream *s = set_find(set, id);
	return s && number < s->next_number ? s : NULL;
}

/* ---- time ---- */

size_t stream_expire(struct stream_pool *pool, usec_t before, size_t most)
{
	size_t n = 0;
	struct stream *next, *s = pool->done_first;
	for (; s && n < most && s->ended < before; s = next) {
		next = s->done_next;
		if (!is_spare(s))
			continue;
		stream_free(pool, s);
		n++;
	}
	return n;
}
