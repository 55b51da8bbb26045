/* Accounts, one per principal, in a hash table that forgets the idle ones. */
#include "account.h"

#include <string.h>

#define BUCKETS 1024u

struct account_table {
	struct account *buckets[BUCKETS];
	size_t count, max;
};

struct account_table *account_table_new(size_t max)
{
	struct account_table *t = xalloc(sizeof *t);

	t->max = max;
	return t;
}

static bool account_idle(const struct account *a, usec_t now)
{
	return a->calls == 0 && a->streams == 0 && a->running == 0 && a->waiting == 0 && a->tat <= now;
}

void account_sweep(struct account_table *t, usec_t now)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct account **at = &t->buckets[i]; *at;) {
			struct account *a = *at;

			if (!account_idle(a, now)) {
				at = &a->hash_next;
				continue;
			}
			*at = a->hash_next;
			t->count--;
			free(a);
		}
}

void account_table_free(struct account_table *t)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		while (t->buckets[i]) {
			struct account *a = t->buckets[i];

			t->buckets[i] = a->hash_next;
			free(a);
		}
	free(t);
}

static uint32_t text_hash(uint32_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u; /* FNV-1a */
	return h;
}

static uint32_t bucket_of(const struct principal *p)
{
	return text_hash(text_hash(2166136261u + p->kind, p->issuer), p->subject) % BUCKETS;
}

struct account *account_find(const struct account_table *t, const struct principal *p)
{
	struct account *a = t->buckets[bucket_of(p)];

	while (a && !principal_equal(&a->principal, p))
		a = a->hash_next;
	return a;
}

struct account *account_of(struct account_table *t, const struct principal *p, usec_t now)
{
	struct account **at = &t->buckets[bucket_of(p)], *a = account_find(t, p);

	if (a) {
		memcpy(a->principal.group, p->group, sizeof p->group); /* a key of the same name may be in another */
		return a;
	}
	if (t->count >= t->max)
		account_sweep(t, now);
	if (t->count >= t->max)
		return NULL;
	a = xalloc(sizeof *a);
	a->principal = *p;
	a->last = &a->first;
	a->hash_next = *at;
	*at = a;
	t->count++;
	return a;
}

size_t account_count(const struct account_table *t)
{
	return t->count;
}
