/* What an index holds: how much, how old, what is missing; and its items one by one. */
#include "index_internal.h"

#include <string.h>

/* A schema that is read by itself takes the place of what the first, cut look gave of it. */
bool piece_shows(const struct set *s, const struct piece *p, const struct entry *e)
{
	return !p->beyond || p->schema || !s->started || strcmp(p->shelf->text + e->schema, s->started) > 0;
}

/* Neighbours are mostly of the same schema. */
static size_t piece_items(const struct set *s, const struct piece *p)
{
	const struct entry *last = NULL;
	size_t n = 0;
	bool shows = false;

	if (!p->beyond)
		return p->shelf->n;
	for (size_t i = 0; i < p->shelf->n; last = &p->shelf->v[i++]) {
		if (!last || last->schema != p->shelf->v[i].schema)
			shows = piece_shows(s, p, &p->shelf->v[i]);
		n += shows;
	}
	return n;
}

static size_t set_items(const struct set *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += piece_items(s, &s->v[i]);
	return n;
}

static void tell_read(usec_t read, struct index_state *out)
{
	if (read && (!out->oldest || read < out->oldest))
		out->oldest = read;
}

static void tell_database(const struct database *d, usec_t now, struct index_state *out)
{
	bool unread = false, refused = false, cut = false;

	for (int k = SET_SCHEMAS; k < SETS_N; k++) {
		const struct set *s = &d->sets[k];

		tell_read(s->read ? s->read : s->n ? s->began : 0, out);
		refused |= s->refused != 0;
		unread |= !s->refused && (!s->read || s->reading);
		cut |= s->cut;
		out->busy |= s->lease > now;
		if (s->refused)
			out->refusal = out->refusal ? out->refusal : s->refusal;
	}
	out->databases++;
	out->objects += set_items(&d->sets[SET_OBJECTS]);
	out->columns += set_items(&d->sets[SET_COLUMNS]);
	if (refused && !out->refused++)
		out->a_refused = d->name;
	else if (!refused && unread && !out->unread++)
		out->an_unread = d->name;
	if (cut && !out->cut++)
		out->a_cut = d->name;
}

void index_tell(const struct index *x, const char *only, usec_t now, struct index_state *out)
{
	*out = (struct index_state){.databases_unread = !only && !x->fixed && !x->sets[SET_DATABASES].read};
	if (!only && x->sets[SET_DATABASES].cut && !out->cut++)
		out->a_cut = "the list of databases";
	for (size_t i = 0; i < x->databases_n; i++)
		if (only ? strcmp(x->databases[i]->name, only) == 0 : !x->databases[i]->asked)
			tell_database(x->databases[i], now, out);
}

bool index_has(const struct index *x, enum index_set set, const char *database, const char *schema)
{
	const struct set *s = set_of(x, set, database);
	const struct piece *p = s && schema ? piece_of(s, schema) : NULL;

	if (!s)
		return false;
	if (s->read && !s->cut)
		return true;
	return p && !p->beyond && !(s->from && strcmp(s->started, schema) == 0);
}

bool index_knows(const struct index *x, enum index_set set, const char *database)
{
	const struct set *s = set_of(x, set, database);

	if (set == SET_DATABASES && x->fixed)
		return true;
	return s ? (s->read || s->n || s->refused) && !s->stale : x->fixed;
}

static bool each_of(const struct set *s, const char *database, bool (*take)(const struct place *p, void *ctx),
		    void *ctx)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i].shelf->n; k++) {
			struct place p = {database, shelf_at(s->v[i].shelf, k)};

			if (piece_shows(s, &s->v[i], &s->v[i].shelf->v[k]) && !take(&p, ctx))
				return false;
		}
	return true;
}

void index_each(const struct index *x, enum index_set set, const char *database,
		bool (*take)(const struct place *p, void *ctx), void *ctx)
{
	if (set == SET_DATABASES || set == SET_WAREHOUSES) {
		(void)each_of(&x->sets[set], NULL, take, ctx);
		return;
	}
	for (size_t i = 0; i < x->databases_n; i++)
		if ((!database || strcmp(x->databases[i]->name, database) == 0) &&
		    !each_of(&x->databases[i]->sets[set], x->databases[i]->name, take, ctx))
			return;
}
