/* Indexes: what has been read of the catalogue, by identity and role, what has to be read next, and the bounds of it
 * all. */
#include "index_internal.h"

#include <string.h>

struct index_table {
	struct index *newest, *oldest;
	size_t n, bytes;
	uint64_t serial;
};

/* ---- bytes ---- */

/* What belongs to an index counts in it and in all of them. */
static void bytes_count(struct index_table *t, struct index *x, size_t bytes)
{
	x->bytes += bytes;
	t->bytes += bytes;
}

static void bytes_discount(struct index_table *t, struct index *x, size_t bytes)
{
	x->bytes -= bytes;
	t->bytes -= bytes;
}

static size_t piece_bytes(const struct shelf *shelf, const char *schema)
{
	return shelf_bytes(shelf) + sizeof(struct piece) + (schema ? strlen(schema) + 1 : 0);
}

static size_t database_bytes(const struct database *d)
{
	return sizeof *d + sizeof d + strlen(d->name) + 1;
}

/* ---- pieces and sets ---- */

static void piece_drop(struct index_table *t, struct index *x, struct set *s, size_t i)
{
	struct piece *p = &s->v[i];

	bytes_discount(t, x, piece_bytes(p->shelf, p->schema));
	x->items -= shelf_items(p->shelf);
	shelf_free(p->shelf);
	free(p->schema);
	s->v[i] = s->v[--s->n];
}

static void set_clear(struct index_table *t, struct index *x, struct set *s)
{
	while (s->n)
		piece_drop(t, x, s, s->n - 1);
	free(TAKE(s->v));
	free(TAKE(s->after));
	free(TAKE(s->started));
	free(TAKE(s->from));
}

static void text_set(char **at, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;

	free(*at);
	*at = copy;
}

static void set_goes_to(struct set *s, const char *after, const char *started, const char *from)
{
	text_set(&s->after, after);
	text_set(&s->started, started);
	text_set(&s->from, from);
}

/* ---- databases ---- */

static struct database **database_at(const struct index *x, const char *name)
{
	for (size_t i = 0; i < x->databases_n; i++)
		if (strcmp(x->databases[i]->name, name) == 0)
			return &x->databases[i];
	return NULL;
}

const struct database *database_find(const struct index *x, const char *name)
{
	struct database **at = database_at(x, name);

	return at ? *at : NULL;
}

static size_t databases_known(const struct index *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->databases_n; i++)
		n += !x->databases[i]->asked;
	return n;
}

static struct database *database_add(struct index_table *t, struct index *x, const char *name)
{
	struct database *d;

	if (databases_known(x) >= INDEX_DATABASES_MAX)
		return NULL;
	d = xalloc(sizeof *d);
	d->name = xstrdup(name);
	x->databases = xrealloc(x->databases, (x->databases_n + 1) * sizeof(struct database *));
	x->databases[x->databases_n++] = d;
	bytes_count(t, x, database_bytes(d));
	return d;
}

static void database_drop(struct index_table *t, struct index *x, size_t i)
{
	struct database *d = x->databases[i];

	for (int k = 0; k < SETS_N; k++)
		set_clear(t, x, &d->sets[k]);
	bytes_discount(t, x, database_bytes(d));
	x->databases[i] = x->databases[--x->databases_n];
	free(d->name);
	free(d);
}

struct set *set_of(const struct index *x, enum index_set set, const char *database)
{
	struct database **at = database ? database_at(x, database) : NULL;

	if (set == SET_DATABASES || set == SET_WAREHOUSES)
		return (struct set *)&x->sets[set];
	return at ? &(*at)->sets[set] : NULL;
}

/* ---- the table ---- */

struct index_table *index_table_new(void)
{
	return xalloc(sizeof(struct index_table));
}

static void index_unlink(struct index_table *t, struct index *x)
{
	*(x->newer ? &x->newer->older : &t->newest) = x->older;
	*(x->older ? &x->older->newer : &t->oldest) = x->newer;
	t->n--;
}

static void index_link(struct index_table *t, struct index *x)
{
	x->newer = NULL;
	x->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = x;
	t->newest = x;
	t->n++;
}

static void index_drop(struct index_table *t, struct index *x)
{
	index_unlink(t, x);
	while (x->databases_n)
		database_drop(t, x, x->databases_n - 1);
	for (int k = 0; k < SETS_N; k++)
		set_clear(t, x, &x->sets[k]);
	t->bytes -= x->bytes;
	free(x->databases);
	free(x->key);
	free(x->account);
	free(x);
}

void index_table_free(struct index_table *t)
{
	while (t && t->newest)
		index_drop(t, t->newest);
	free(t);
}

size_t index_table_bytes(const struct index_table *t)
{
	return t->bytes;
}

size_t index_table_count(const struct index_table *t)
{
	return t->n;
}

static bool bytes_are(const char *a, size_t a_n, struct slice b)
{
	return a_n == b.n && memcmp(a, b.data, b.n) == 0;
}

struct index *index_find(struct index_table *t, struct slice key)
{
	struct index *x = t->newest;

	while (x && !bytes_are(x->key, x->key_n, key))
		x = x->older;
	if (x && x != t->newest) {
		index_unlink(t, x);
		index_link(t, x);
	}
	return x;
}

static char *bytes_copy(struct slice s)
{
	return memcpy(xalloc(s.n + 1), s.data, s.n);
}

struct index *index_get(struct index_table *t, struct slice key, struct slice account, struct texts databases,
			const struct index_limits *l)
{
	struct index *x = index_find(t, key);

	if (x)
		return x;
	while (t->oldest && (t->n >= INDEX_MAX || t->bytes > l->bytes))
		index_drop(t, t->oldest);
	x = xalloc(sizeof *x);
	*x = (struct index){.serial = ++t->serial,
			    .key = bytes_copy(key),
			    .key_n = key.n,
			    .account = bytes_copy(account),
			    .account_n = account.n,
			    .fixed = databases.n > 0};
	bytes_count(t, x, sizeof *x + key.n + account.n + 2);
	for (size_t i = 0; i < databases.n; i++)
		if (!database_find(x, databases.v[i]))
			database_add(t, x, databases.v[i]);
	index_link(t, x);
	return x;
}

uint64_t index_serial(const struct index *x)
{
	return x->serial;
}

/* ---- stale ---- */

static void set_stale(struct set *s)
{
	s->stale = s->read || s->reading || s->lease;
	s->refused = 0;
	for (size_t i = 0; i < s->n; i++)
		s->v[i].read = 0;
}

void index_stale(struct index_table *t, struct slice account, const char *database)
{
	for (struct index *x = t->newest; x; x = x->older) {
		if (!bytes_are(x->account, x->account_n, account))
			continue;
		for (int k = 0; k < SETS_N && !database; k++)
			set_stale(&x->sets[k]);
		for (size_t i = 0; i < x->databases_n; i++)
			for (int k = 0; k < SETS_N && (!database || !strcmp(x->databases[i]->name, database)); k++)
				set_stale(&x->databases[i]->sets[k]);
	}
}

/* ---- what is to be read ---- */

static bool is_old(usec_t read, usec_t now, usec_t ttl)
{
	return !read || now - read >= ttl;
}

static bool set_due(const struct set *s, usec_t now, usec_t ttl)
{
	if (s->lease > now || (s->refused && now - s->refused < ttl))
		return false;
	return s->reading || s->stale || is_old(s->read, now, ttl);
}

/* The first schema behind this name; NULL where there is none. */
static const char *schema_behind(const struct database *d, const char *after)
{
	const struct set *s = &d->sets[SET_SCHEMAS];
	const char *found = NULL;

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i].shelf->n; k++) {
			const char *name = entry_text(s->v[i].shelf, &s->v[i].shelf->v[k]);

			if ((!after || strcmp(name, after) > 0) && (!found || strcmp(name, found) < 0))
				found = name;
		}
	return found;
}

static void set_begin(struct set *s, usec_t now)
{
	s->pass++;
	s->began = now;
	s->stale = s->cut = false;
	s->reading = s->by_schema;
	set_goes_to(s, NULL, NULL, NULL);
}

/* A schema that is being read page by page is read on before the next one. */
static size_t wants_by_schema(const struct database *d, enum index_set set, struct want *out, size_t max)
{
	const struct set *s = &d->sets[set];
	const char *schema = s->from ? s->started : schema_behind(d, s->after);
	size_t n = 0;

	for (; schema && n < max; schema = s->from ? NULL : schema_behind(d, schema))
		out[n++] = (struct want){set, d->name, schema, s->from, s->pass, false};
	return n;
}

static size_t wants_of_set(struct database *d, enum index_set set, usec_t now, usec_t ttl, struct want *out, size_t max)
{
	struct set *s = &d->sets[set];
	size_t n = 0;

	if (max == 0 || !set_due(s, now, ttl))
		return 0;
	if (s->by_schema && !d->sets[SET_SCHEMAS].read)
		return 0;
	if (!s->reading)
		set_begin(s, now);
	if (s->by_schema)
		n = wants_by_schema(d, set, out, max);
	else
		out[n++] = (struct want){set, d->name, NULL, NULL, s->pass, false};
	if (n)
		s->lease = now + INDEX_LEASE;
	else
		s->by_schema = s->reading = false;
	return n;
}

static size_t wants_of_database(struct database *d, usec_t now, usec_t ttl, struct want *out, size_t max)
{
	size_t n = 0;

	for (int set = SET_SCHEMAS; set < SETS_N; set++)
		n += wants_of_set(d, (enum index_set)set, now, ttl, out + n, max - n);
	return n;
}

static bool account_wants(struct index *x, enum index_set set, usec_t now, usec_t ttl, struct want *out)
{
	struct set *s = &x->sets[set];

	if (!set_due(s, now, ttl))
		return false;
	set_begin(s, now);
	s->lease = now + INDEX_LEASE;
	*out = (struct want){.set = set, .pass = s->pass};
	return true;
}

/* The one that was asked for longest ago makes room for another. */
static void asked_make_room(struct index_table *t, struct index *x)
{
	size_t n = 0, oldest = 0;

	for (size_t i = 0; i < x->databases_n; i++) {
		const struct database *d = x->databases[i];

		if (d->asked && (n++ == 0 || d->asked < x->databases[oldest]->asked))
			oldest = i;
	}
	if (n >= INDEX_ASKED_MAX)
		database_drop(t, x, oldest);
}

/* Where the policy names no databases, any may be asked for; whether it is there Snowflake says. */
static struct database *database_asked(struct index_table *t, struct index *x, const char *name)
{
	struct database **at = name ? database_at(x, name) : NULL, *d = at ? *at : NULL;

	if (!d && name && !x->fixed) {
		asked_make_room(t, x);
		d = database_add(t, x, name);
		if (d)
			d->asked = 1;
	}
	if (d && d->asked)
		d->asked = ++x->asks;
	return d;
}

/* It is there: others may hear of it. */
static void database_is_there(struct index *x, struct database *d)
{
	if (d->asked && databases_known(x) < INDEX_DATABASES_MAX)
		d->asked = 0;
}

size_t index_wants(struct index_table *t, struct index *x, const char *first, bool only, usec_t now,
		   const struct index_limits *l, struct want *out, size_t max)
{
	struct database *d = database_asked(t, x, first);
	size_t n = 0;

	if (!only && !x->fixed && max && account_wants(x, SET_DATABASES, now, l->ttl, out))
		n++;
	if (d)
		n += wants_of_database(d, now, l->ttl, out + n, max - n);
	for (size_t i = 0; i < x->databases_n && !only; i++)
		if (x->databases[i] != d && !x->databases[i]->asked)
			n += wants_of_database(x->databases[i], now, l->ttl, out + n, max - n);
	return n;
}

const struct piece *piece_of(const struct set *s, const char *schema)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].schema && strcmp(s->v[i].schema, schema) == 0)
			return &s->v[i];
	return NULL;
}

/* One schema by itself, unless all of them are at hand or about to be. */
static bool schema_wants(const struct database *d, struct set *s, const char *schema, usec_t now, usec_t ttl,
			 struct want *out)
{
	const struct piece *p = piece_of(s, schema);

	if (s->lease > now || (!s->stale && !is_old(s->read, now, ttl)) || (p && !is_old(p->read, now, ttl)))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].schema)
			return false;
	*out = (struct want){SET_OBJECTS, d->name, schema, NULL, s->pass, true};
	return true;
}

bool index_wants_set(struct index_table *t, struct index *x, enum index_set set, const char *database,
		     const char *schema, usec_t now, const struct index_limits *l, struct want *out)
{
	struct database *d = database_asked(t, x, database);
	const struct set *s = set_of(x, set, database);

	if (!s)
		return false;
	if (s->lease > now && s->n == 0 && !s->by_schema) { /* typing does not wait for others */
		*out = (struct want){set, d ? d->name : NULL, schema, NULL, s->pass, schema != NULL};
		return true;
	}
	if (!d)
		return account_wants(x, set, now, l->ttl, out);
	if (schema && schema_wants(d, &d->sets[set], schema, now, l->ttl, out))
		return true;
	return (!schema || d->sets[set].read) && wants_of_set(d, set, now, l->ttl, out, 1) == 1;
}

/* ---- what has been read ---- */

/* Makes room for so many bytes more; false where even the other indexes' are not enough. */
static bool room_make(struct index_table *t, const struct index *x, size_t bytes, const struct index_limits *l)
{
	if (x->bytes + bytes > l->bytes)
		return false;
	for (struct index *old = t->oldest, *next; old && t->bytes + bytes > l->bytes; old = next) {
		next = old->newer;
		if (old != x)
			index_drop(t, old);
	}
	return t->bytes + bytes <= l->bytes;
}

/* The shelf is taken. What does not fit is left out, and said to be. */
static void piece_add(struct index_table *t, struct index *x, struct set *s, struct piece p,
		      const struct index_limits *l)
{
	size_t bytes = piece_bytes(p.shelf, p.schema);

	if (x->items + shelf_items(p.shelf) > l->entries || !room_make(t, x, bytes, l)) {
		s->cut = true;
		shelf_free(p.shelf);
		return;
	}
	p.schema = p.schema ? xstrdup(p.schema) : NULL;
	s->v = xrealloc(s->v, (s->n + 1) * sizeof *s->v);
	s->v[s->n++] = p;
	bytes_count(t, x, bytes);
	x->items += shelf_items(p.shelf);
}

/* Drops what earlier readings have left: of this schema, or (NULL) of all. */
static void pieces_of_earlier(struct index_table *t, struct index *x, struct set *s, const char *schema)
{
	for (size_t i = s->n; i-- > 0;)
		if ((s->v[i].pass != s->pass || s->v[i].beyond) &&
		    (!schema || (s->v[i].schema && strcmp(s->v[i].schema, schema) == 0)))
			piece_drop(t, x, s, i);
}

static void set_done(struct index_table *t, struct index *x, struct set *s)
{
	pieces_of_earlier(t, x, s, NULL);
	s->read = s->began;
	s->reading = false;
	set_goes_to(s, NULL, NULL, NULL);
}

/* The list of databases, where it is whole, decides which there are. */
static void databases_follow(struct index_table *t, struct index *x, const struct shelf *shelf, bool whole)
{
	for (size_t i = whole ? x->databases_n : 0; i-- > 0;) {
		bool there = false;

		for (size_t k = 0; k < shelf->n && !there; k++)
			there = strcmp(entry_text(shelf, &shelf->v[k]), x->databases[i]->name) == 0;
		if (!there)
			database_drop(t, x, i);
	}
	for (size_t k = 0; k < shelf->n; k++) {
		const char *name = entry_text(shelf, &shelf->v[k]);
		struct database **at = database_at(x, name);

		if (at)
			database_is_there(x, *at);
		else if (!database_add(t, x, name)) {
			x->sets[SET_DATABASES].cut = true;
			break;
		}
	}
}

/* Too many rows for one SHOW: from now on schema by schema. The first time what came serves until then. */
static void took_part(struct index_table *t, struct index *x, struct set *s, struct piece p,
		      const struct index_limits *l)
{
	s->by_schema = s->reading = true;
	set_goes_to(s, NULL, NULL, NULL);
	p.beyond = true;
	if (s->read) {
		shelf_free(p.shelf);
		return;
	}
	pieces_of_earlier(t, x, s, NULL);
	piece_add(t, x, s, p, l);
	s->cut = false;
}

static void took_all(struct index_table *t, struct index *x, const struct want *w, struct set *s, struct piece p,
		     const char *last, const struct index_limits *l)
{
	while (s->n)
		piece_drop(t, x, s, s->n - 1);
	s->cut = last != NULL;
	if (w->set == SET_DATABASES && !x->fixed)
		databases_follow(t, x, p.shelf, !last);
	piece_add(t, x, s, p, l);
	set_done(t, x, s);
}

static void took_schema(struct index_table *t, struct index *x, const struct want *w, struct set *s, struct piece p,
			const char *last, const struct index_limits *l)
{
	if (s->from && strcmp(s->started, w->schema) != 0) { /* asked for before it was known that a page is missing */
		shelf_free(p.shelf);
		return;
	}
	pieces_of_earlier(t, x, s, w->schema);
	piece_add(t, x, s, p, l);
	if (last && w->set == SET_OBJECTS && !s->cut) {
		set_goes_to(s, s->after, w->schema, last);
		return;
	}
	s->cut |= last != NULL;
	set_goes_to(s, w->schema, w->schema, NULL);
	if (!schema_behind(database_find(x, w->database), s->after))
		set_done(t, x, s);
}

static void took_alone(struct index_table *t, struct index *x, const struct want *w, struct set *s, struct piece p,
		       const char *last, const struct index_limits *l)
{
	for (size_t i = s->n; i-- > 0;)
		if (s->v[i].schema && strcmp(s->v[i].schema, w->schema) == 0)
			piece_drop(t, x, s, i);
	p.beyond = last != NULL;
	piece_add(t, x, s, p, l);
}

void index_took(struct index_table *t, struct index *x, const struct want *w, struct shelf *shelf, const char *last,
		usec_t now, const struct index_limits *l)
{
	struct set *s = set_of(x, w->set, w->database);
	struct piece p = {.shelf = shelf, .schema = (char *)w->schema, .read = now};

	if (!s || w->pass != s->pass) {
		shelf_free(shelf);
		return;
	}
	if (w->database)
		database_is_there(x, *database_at(x, w->database));
	p.pass = s->pass;
	s->refused = 0;
	if (w->alone) {
		took_alone(t, x, w, s, p, last, l);
		return;
	}
	s->lease = 0;
	if (w->schema)
		took_schema(t, x, w, s, p, last, l);
	else if (last && (w->set == SET_OBJECTS || w->set == SET_COLUMNS))
		took_part(t, x, s, p, l);
	else
		took_all(t, x, w, s, p, last, l);
}

void index_left(struct index *x, const struct want *w, const char *code, usec_t now)
{
	struct set *s = set_of(x, w->set, w->database);

	if (!s || w->pass != s->pass || w->alone)
		return;
	s->lease = 0;
	if (!code) {
		s->stale = s->read != 0;
		return;
	}
	s->refused = now;
	strncpy(s->refusal, code, sizeof s->refusal - 1);
}
