/* Named counters of what is at work: a chained hash table. */
#include "gauge.h"

#include <string.h>

#define BUCKETS 1024

struct gauges {
	struct gauge *buckets[BUCKETS];
	size_t n;
};

struct gauges *gauges_new(void)
{
	return xalloc(sizeof(struct gauges));
}

void gauges_free(struct gauges *gauges)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct gauge *g = gauges->buckets[i], *next; g; g = next) {
			next = g->next;
			free(g->name);
			free(g);
		}
	}
	free(gauges);
}

static size_t bucket_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash % BUCKETS;
}

static struct gauge *gauge_find(struct gauges *gauges, const char *name)
{
	size_t bucket = bucket_of(name);
	struct gauge *g = gauges->buckets[bucket];

	while (g && strcmp(g->name, name))
		g = g->next;
	if (g || gauges->n >= GAUGES_MAX)
		return g;
	g = xalloc(sizeof(*g));
	g->name = xstrdup(name);
	g->next = gauges->buckets[bucket];
	gauges->buckets[bucket] = g;
	gauges->n++;
	return g;
}

struct gauge *gauge_enter(struct gauges *gauges, const char *name)
{
	struct gauge *g = gauge_find(gauges, name);

	if (!g) {
		gauges->n--; /* room for exactly one more name */
		g = gauge_find(gauges, "(other)");
		gauges->n = GAUGES_MAX;
	}
	g->total++;
	if (++g->now > g->max)
		g->max = g->now;
	return g;
}

void gauge_leave(struct gauge *gauge)
{
	assert(gauge->now);
	gauge->now--;
}

void gauges_reset(struct gauges *gauges)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct gauge *g = gauges->buckets[i]; g; g = g->next) {
			g->max = g->now;
			g->total = g->now;
		}
	}
}

json_t *gauges_json(const struct gauges *gauges)
{
	json_t *all = json_object();

	for (size_t i = 0; i < BUCKETS; i++) {
		for (const struct gauge *g = gauges->buckets[i]; g; g = g->next) {
			if (!g->total)
				continue;
			json_object_set_new(all, g->name,
					    json_pack("{s:I,s:I,s:I}", "running", (json_int_t)g->now, "max_running",
						      (json_int_t)g->max, "total", (json_int_t)g->total));
		}
	}
	return all;
}
