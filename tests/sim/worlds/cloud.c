/* The store of a world: the memory back end, shared by its processes, and what may go wrong on the way to it. */
#include <string.h>

#include "snowgate/json.h"
#include "world.h"

enum { KEYS_MAX = 8192, BUCKETS = 4096 };

/* What is known of one operation's record: who has seen which version of it, and whether it has ended. */
struct known {
	struct known *next;
	char key[STORE_KEY_MAX];
	uint64_t version, seen[REPLICAS_MAX];
	bool over, gone;
};
static struct {
	struct store *store;
	struct known *buckets[BUCKETS];
} cloud;

static void no_health(bool ready, const char *why)
{
	(void)ready, (void)why;
}

static void no_news(const char *channel, struct slice value)
{
	(void)channel, (void)value;
}

void cloud_begin(void)
{
	static const struct store_ops told = {.health = no_health, .heard = no_news};
	char why[80];

	memset(&cloud, 0, sizeof cloud);
	cloud.store = store_memory.open(NULL, &told, why, sizeof why);
}

void cloud_end(void)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (cloud.buckets[i]) {
			struct known *k = cloud.buckets[i];

			cloud.buckets[i] = k->next;
			free(k);
		}
	store_memory.close(cloud.store);
}

/* ---- what is known of records ---- */

static struct known *known_of(const char *key, bool make)
{
	uint32_t hash = 2166136261u;
	struct known *k;

	for (const char *c = key; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	for (k = cloud.buckets[hash % BUCKETS]; k; k = k->next)
		if (!strcmp(k->key, key))
			return k;
	if (!make)
		return NULL;
	k = xalloc(sizeof *k);
	snprintf(k->key, sizeof k->key, "%s", key);
	k->next = cloud.buckets[hash % BUCKETS];
	cloud.buckets[hash % BUCKETS] = k;
	return k;
}

void cloud_lives(struct replica *r)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct known *k = cloud.buckets[i]; k; k = k->next)
			k->seen[r->number] = 0;
}

static bool is_over(const char *state)
{
	static const char *const under_way[] = {"new", "sent", "running", "decoding"};

	for (size_t i = 0; state && i < ARRAY_LEN(under_way); i++)
		if (!strcmp(state, under_way[i]))
			return false;
	return state != NULL;
}

/* The record of an operation was written: by whom has it been seen before, and does it begin again? */
static void check_put(const struct replica *r, const struct store_item *item)
{
	struct known *k = known_of(item->key, true);
	json_t *o = NULL;
	bool over;

	if (json_parse_trusted(item->value, &o) != JSON_OK)
		violation(0, "g%d wrote a record that is none", r->number);
	over = item->due_ms == STORE_NO_DUE && is_over(json_text_of(o, "state"));
	if (charting)
		chart_request(item->key, json_text_of(o, "request") ? json_text_of(o, "request") : "");
	json_decref(o);
	if (item->verb == STORE_PUT && item->version > 1 && k->seen[r->number] != item->version - 1)
		violation(chart_op(item->key),
			  "g%d has overwritten operation %s at version %llu, of which it has seen %llu", r->number,
			  item->key, (unsigned long long)item->version - 1, (unsigned long long)k->seen[r->number]);
	if (k->over && !k->gone && !over && item->version > 1)
		violation(chart_op(item->key), "operation %s had ended and is under way again, says g%d", item->key,
			  r->number);
	k->over = over;
	k->gone = false;
	if (item->verb == STORE_PUT)
		k->version = k->seen[r->number] = item->version;
}

static void see(const struct replica *r, const char *key, uint64_t version)
{
	known_of(key, true)->seen[r->number] = version;
}

static void learn(const struct replica *r, const struct store_item *item)
{
	if (item->kind != RECORD_OPERATION)
		return;
	if (item->verb == STORE_PUT || (item->verb == STORE_KEEP && item->value.data))
		check_put(r, item);
	else if (item->verb == STORE_GET && item->rc == STORE_OK)
		see(r, item->key, item->version);
	else if (item->verb == STORE_DEL)
		known_of(item->key, true)->gone = true;
	for (const struct store_row *row = item->verb == STORE_DUE ? item->rows : NULL; row; row = row->next)
		see(r, row->key, row->version);
}

/* ---- commits ---- */

static const char *const verbs[] = {"get", "check", "put", "keep", "del", "append", "events", "due", "tell"};
static const char *const kinds[] = {"session", "handle", "operation", "stream", "task", "claim"};
static const char *const rcs[] = {"ok", "absent", "STALE", "FULL", "DOWN"};

static void draw(const struct replica *r, const struct store_work *w, const char *note)
{
	const char *operation = "none";
	char text[90];
	size_t n = (size_t)snprintf(text, sizeof text, "g%d:", r->number);

	for (size_t i = 0; i < w->n && n < sizeof text; i++) {
		const struct store_item *item = &w->items[i];

		if (item->verb == STORE_CHECK)
			continue;
		n += (size_t)snprintf(text + n, sizeof text - n, " %s %s", verbs[item->verb],
				      item->verb == STORE_TELL ? "" : kinds[item->kind]);
		if (item->verb == STORE_APPEND && n < sizeof text)
			n += (size_t)snprintf(text + n, sizeof text - n, " %llu", (unsigned long long)item->number);
		if (item->kind == RECORD_OPERATION && item->key && item->verb != STORE_TELL)
			operation = item->key;
	}
	chart_add(GATEWAY, STORE, 0, operation, "%s", text);
	chart_add(STORE, GATEWAY, 0, operation, "g%d: %s%s", r->number, rcs[w->rc], note);
}

static void run(struct replica *r, struct store_work *w)
{
	struct store_work *next = TAKE(w->next);

	store_memory.commit(cloud.store, w);
	w->next = next;
	if (w->rc != STORE_OK)
		return;
	for (size_t i = 0; i < w->n; i++) {
		learn(r, &w->items[i]);
		for (int other = 0; w->items[i].verb == STORE_TELL && other < world.n; other++)
			if (other != r->number && world.v[other].alive && !world.v[other].paused)
				replica_told(&world.v[other], w->items[i].key, w->items[i].value);
	}
}

static void forget(struct store_work *w, enum store_rc rc)
{
	w->rc = rc;
	for (size_t i = 0; i < w->n; i++) {
		if (w->items[i].verb == STORE_GET)
			buf_clear(&w->items[i].out);
		store_rows_free(&w->items[i]);
	}
}

/* Refused, not reached; or done, and the answer lost, which only a store elsewhere can do. */
static void run_faulty(struct replica *r, struct store_work *w)
{
	const char *note = "";

	world.last_fault = clock_now();
	switch (chance(3)) {
	case 0:
		forget(w, STORE_FULL);
		break;
	case 1:
		forget(w, STORE_DOWN);
		break;
	default:
		if (world.shared) {
			run(r, w);
			note = " (it was done)";
		}
		forget(w, STORE_DOWN);
	}
	if (charting)
		draw(r, w, note);
}

void cloud_commit(void *replica, struct store_work *first)
{
	struct replica *r = replica;

	for (struct store_work *w = first; w; w = w->next) {
		host_called(r);
		if (!world.healed && one_in(world.store_faults)) {
			run_faulty(r, w);
			continue;
		}
		run(r, w);
		if (charting)
			draw(r, w, "");
		host_called(r);
	}
}

/* ---- what is in it ---- */

static void ask(struct store_item *items, size_t n)
{
	struct store_work w = {.group = "0", .items = items, .n = n};

	store_memory.commit(cloud.store, &w);
}

bool cloud_has(const char *stream, uint64_t number)
{
	struct store_item item = {
	    .verb = STORE_GET, .kind = RECORD_STREAM, .key = stream, .out = buf_with_ceiling(STORE_KEY_MAX)};
	struct store_item events = {
	    .verb = STORE_EVENTS, .kind = RECORD_OPERATION, .number = number ? number - 1 : 0, .most = 1};
	bool has;

	ask(&item, 1);
	events.key = buf_text(&item.out);
	has = item.rc == STORE_OK;
	if (has && number) {
		ask(&events, 1);
		has = events.rows && events.rows->version == number;
		store_rows_free(&events);
	}
	buf_free(&item.out);
	return has;
}

static bool under_way(const struct store_row *row)
{
	json_t *o = NULL;
	bool is = true;

	if (json_parse_trusted((struct slice){row->value, row->n}, &o) == JSON_OK)
		is = !is_over(json_text_of(o, "state"));
	json_decref(o);
	return is;
}

/* Those with a due are the ones that somebody has still to end. */
size_t cloud_under_way(char *which, size_t size)
{
	struct store_item item = {.verb = STORE_DUE, .kind = RECORD_OPERATION, .most = STORE_ROWS_MAX};
	size_t n = 0;

	clock_advance(SECONDS(24 * 3600 - 7200)); /* the store's time: all of them are due */
	ask(&item, 1);
	for (const struct store_row *row = item.rows; row; row = row->next)
		if (under_way(row)) {
			n++;
			snprintf(which, size, "%s", row->key);
		}
	store_rows_free(&item);
	return n;
}
