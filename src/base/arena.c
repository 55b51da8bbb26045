/* Per-call memory: bump allocation in blocks that grow from 4 to 64 KiB, and the destructors of what is attached. */
#include "snowgate/arena.h"

#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(data, n)   ASAN_POISON_MEMORY_REGION((data), (n))
#define UNPOISON(data, n) ASAN_UNPOISON_MEMORY_REGION((data), (n))
#else
#define POISON(data, n)   ((void)(data), (void)(n))
#define UNPOISON(data, n) ((void)(data), (void)(n))
#endif

enum { ALIGN = _Alignof(max_align_t), BLOCK_MIN = 4096, BLOCK_MAX = 65536, RED_BYTES = 16 };
enum { ARENA_MAGIC = 0x41524e41 };

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(max_align_t) unsigned char bytes[]; /* `size`, then RED_BYTES of red zone */
};

struct attached {
	struct attached *next;
	void *object;
	void (*destroy)(void *);
};

struct arena {
	uint32_t magic;
	size_t ceiling, used, block_size;
	struct block *blocks; /* the first is the one allocations come from */
	struct attached *attached;
};

static const unsigned char red_zone[RED_BYTES + 1] = "\xA5"
						     "red zone\x5A\xA5red\x5A\xA5\x5A";

struct arena *arena_new(size_t ceiling)
{
	struct arena *a = xalloc(sizeof(*a));
	a->magic = ARENA_MAGIC;
	a->ceiling = ceiling;
	a->block_size = BLOCK_MIN;
	return a;
}

void arena_check(const struct arena *a)
{
	CHECK(a, ARENA_MAGIC);
	for (const struct block *block = a->blocks; block; block = block->next)
		assert(memcmp(block->bytes + block->size, red_zone, RED_BYTES) == 0);
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_check(a);
	for (struct attached *attached; (attached = a->attached);) {
		a->attached = attached->next;
		attached->destroy(attached->object);
	}
	arena_check(a);
	while (a->blocks) {
		struct block *block = a->blocks;
		a->blocks = block->next;
		UNPOISON(block->bytes, block->size);
		free(block);
	}
	a->magic = 0;
	free(a);
}

static struct block *block_new(size_t size)
{
	struct block *block = xalloc(sizeof(*block) + size + RED_BYTES);
	block->size = size;
	memcpy(block->bytes + size, red_zone, RED_BYTES);
	POISON(block->bytes, size);
	return block;
}

/* A block with room for `size`. What is large gets one of its own behind the current one, whose rest stays in use: so
 * at most a quarter of a block is ever lost. */
static struct block *block_for(struct arena *a, size_t size)
{
	struct block *first = a->blocks;
	if (first && first->size - first->used >= size)
		return first;
	struct block *block;
	if (size > a->block_size / 4) {
		block = block_new(size);
		block->next = first ? first->next : NULL;
		*(first ? &first->next : &a->blocks) = block;
		return block;
	}
	block = block_new(a->block_size);
	block->next = first;
	a->blocks = block;
	if (a->block_size < BLOCK_MAX)
		a->block_size *= 2;
	return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
	CHECK(a, ARENA_MAGIC);
	if (size > a->ceiling)
		return NULL;
	size_t rounded = ((size ? size : 1) + ALIGN - 1) / ALIGN * ALIGN;
	if (rounded > a->ceiling - a->used)
		return NULL;
	struct block *block = block_for(a, rounded);
	void *memory = block->bytes + block->used;
	block->used += rounded;
	a->used += rounded;
	UNPOISON(memory, size);
	return memory;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return text ? arena_strndup(a, text, strlen(text)) : NULL;
}

char *arena_strndup(struct arena *a, const char *text, size_t n)
{
	if (!text)
		return NULL;
	size_t length = strnlen(text, n);
	char *copy = arena_alloc(a, length + 1);
	if (copy)
		memcpy(copy, text, length);
	return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = arena_vprintf(a, format, args);
	va_end(args);
	return text;
}

char *arena_vprintf(struct arena *a, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, args);
	char *text = length < 0 ? NULL : arena_alloc(a, (size_t)length + 1);
	if (text)
		(void)vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	return text;
}

bool arena_attach(struct arena *a, void *object, void (*destroy)(void *))
{
	struct attached *attached = arena_alloc(a, sizeof(*attached));
	if (!attached) {
		destroy(object);
		return false;
	}
	*attached = (struct attached){a->attached, object, destroy};
	a->attached = attached;
	return true;
}

size_t arena_used(const struct arena *a)
{
	CHECK(a, ARENA_MAGIC);
	return a->used;
}

size_t arena_ceiling(const struct arena *a)
{
	return a->ceiling;
}
