/* An intrusive hash with chains: the nodes live in what they name. */
#include "session_internal.h"

/* FNV-1a, then the finalizer of MurmurHash3 so that the low bits depend on all. Keys here are random or come from
 * authenticated principals; the seed keeps their places unguessable all the same. */
uint64_t hash_of(uint64_t seed, const void *data, size_t n)
{
	const uint8_t *bytes = data;
	uint64_t h = 0xcbf29ce484222325U ^ seed;
	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3U;
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdU;
	return h ^ (h >> 33);
}

static struct hash_node **slot_of(const struct hash *h, uint64_t hash)
{
	return &h->slots[hash & (h->slots_n - 1)];
}

static void grow(struct hash *h)
{
	struct hash bigger = {.slots_n = h->slots_n ? h->slots_n * 2 : 64, .n = h->n};
	bigger.slots = xalloc(bigger.slots_n * sizeof(*bigger.slots));
	for (size_t i = 0; i < h->slots_n; i++) {
		struct hash_node *node = h->slots[i];
		while (node) {
			struct hash_node *next = node->next, **slot = slot_of(&bigger, node->hash);
			node->next = *slot;
			*slot = node;
			node = next;
		}
	}
	free(h->slots);
	*h = bigger;
}

void hash_add(struct hash *h, struct hash_node *node, uint64_t hash)
{
	if (h->n >= h->slots_n)
		grow(h);
	struct hash_node **slot = slot_of(h, hash);
	*node = (struct hash_node){*slot, hash};
	*slot = node;
	h->n++;
}

void hash_remove(struct hash *h, struct hash_node *node)
{
	struct hash_node **link = slot_of(h, node->hash);
	while (*link != node) {
		assert(*link);
		link = &(*link)->next;
	}
	*link = node->next;
	h->n--;
}

static struct hash_node *match(struct hash_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct hash_node *hash_first(const struct hash *h, uint64_t hash)
{
	return h->n ? match(*slot_of(h, hash), hash) : NULL;
}

struct hash_node *hash_next(const struct hash_node *node)
{
	return match(node->next, node->hash);
}

void hash_free(struct hash *h)
{
	free(h->slots);
	*h = (struct hash){0};
}
