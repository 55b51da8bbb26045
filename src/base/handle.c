/* The table behind handles: slots with a generation, reused in the order in which they became free. */
#include "snowgate/handle.h"

enum { FIRST_SLOTS = 64, HANDLE_TABLE_MAGIC = 0x48444c54 };
#define NO_SLOT UINT32_MAX

struct slot {
	void *object;        /* NULL: free */
	uint32_t generation; /* of the object here, or of the next one; never 0 */
	uint32_t next_free;
};

struct handle_table {
	uint32_t magic, ceiling, size, count;
	uint32_t first_free, last_free;
	struct slot *slots;
};

struct handle_table *handle_table_new(uint32_t ceiling)
{
	assert(ceiling < NO_SLOT);
	struct handle_table *t = xalloc(sizeof(*t));
	t->magic = HANDLE_TABLE_MAGIC;
	t->ceiling = ceiling;
	t->first_free = t->last_free = NO_SLOT;
	return t;
}

void handle_table_free(struct handle_table *t)
{
	if (!t)
		return;
	CHECK(t, HANDLE_TABLE_MAGIC);
	t->magic = 0;
	free(t->slots);
	free(t);
}

static void append_free(struct handle_table *t, uint32_t index)
{
	t->slots[index].next_free = NO_SLOT;
	if (t->last_free == NO_SLOT)
		t->first_free = index;
	else
		t->slots[t->last_free].next_free = index;
	t->last_free = index;
}

static void grow(struct handle_table *t)
{
	uint64_t wanted = t->size ? (uint64_t)t->size * 2 : FIRST_SLOTS;
	uint32_t size = wanted > t->ceiling ? t->ceiling : (uint32_t)wanted;
	if (size == t->size)
		return;
	t->slots = xrealloc(t->slots, size * sizeof(*t->slots));
	for (uint32_t i = t->size; i < size; i++) {
		t->slots[i] = (struct slot){.generation = 1};
		append_free(t, i);
	}
	t->size = size;
}

handle_t handle_add(struct handle_table *t, void *object)
{
	CHECK(t, HANDLE_TABLE_MAGIC);
	assert(object);
	if (t->first_free == NO_SLOT)
		grow(t);
	uint32_t index = t->first_free;
	if (index == NO_SLOT)
		return 0;
	struct slot *slot = &t->slots[index];
	t->first_free = slot->next_free;
	if (t->first_free == NO_SLOT)
		t->last_free = NO_SLOT;
	slot->object = object;
	t->count++;
	return (handle_t)slot->generation << 32 | index;
}

static struct slot *find(const struct handle_table *t, handle_t h)
{
	CHECK(t, HANDLE_TABLE_MAGIC);
	uint32_t index = (uint32_t)h;
	if (index >= t->size || !t->slots[index].object || t->slots[index].generation != h >> 32)
		return NULL;
	return &t->slots[index];
}

void *handle_get(const struct handle_table *t, handle_t h)
{
	const struct slot *slot = find(t, h);
	return slot ? slot->object : NULL;
}

void handle_drop(struct handle_table *t, handle_t h)
{
	struct slot *slot = find(t, h);
	if (!slot)
		return;
	slot->object = NULL;
	if (++slot->generation == 0)
		slot->generation = 1;
	append_free(t, (uint32_t)h);
	t->count--;
}

uint32_t handle_count(const struct handle_table *t)
{
	CHECK(t, HANDLE_TABLE_MAGIC);
	return t->count;
}

void handle_each(struct handle_table *t, void (*visit)(handle_t h, void *object, void *ctx), void *ctx)
{
	CHECK(t, HANDLE_TABLE_MAGIC);
	for (uint32_t i = 0; i < t->size; i++)
		if (t->slots[i].object)
			visit((handle_t)t->slots[i].generation << 32 | i, t->slots[i].object, ctx);
}
