/* Shelves: the items of one SHOW in one block of text, with the filters that make looking through them quick. */
#include "index_internal.h"

#include <string.h>

/* clang-format off */
const char char_folds[256] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,
    96, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 123, 124, 125, 126, 127,
    -128, -127, -126, -125, -124, -123, -122, -121, -120, -119, -118, -117, -116, -115, -114, -113,
    -112, -111, -110, -109, -108, -107, -106, -105, -104, -103, -102, -101, -100, -99, -98, -97,
    -96, -95, -94, -93, -92, -91, -90, -89, -88, -87, -86, -85, -84, -83, -82, -81,
    -80, -79, -78, -77, -76, -75, -74, -73, -72, -71, -70, -69, -68, -67, -66, -65,
    -64, -63, -62, -61, -60, -59, -58, -57, -56, -55, -54, -53, -52, -51, -50, -49,
    -48, -47, -46, -45, -44, -43, -42, -41, -40, -39, -38, -37, -36, -35, -34, -33,
    -32, -31, -30, -29, -28, -27, -26, -25, -24, -23, -22, -21, -20, -19, -18, -17,
    -16, -15, -14, -13, -12, -11, -10, -9, -8, -7, -6, -5, -4, -3, -2, -1,
};
/* clang-format on */

bool is_word_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* One bit per letter; digits, and all the rest, share the others. */
static uint32_t letter_of(char c)
{
	c = char_fold(c);
	if (c >= 'A' && c <= 'Z')
		return 1u << (c - 'A');
	if (c >= '0' && c <= '9')
		return 1u << (26 + (c - '0') % 4);
	return 1u << (c == '_' ? 30 : 31);
}

uint32_t letters_of(const char *text, size_t n)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < n; i++)
		letters |= letter_of(text[i]);
	return letters;
}

uint64_t grams_of(const char *text, size_t n)
{
	uint64_t grams = 0;

	for (size_t i = 1; i < n; i++) {
		unsigned a = (unsigned char)char_fold(text[i - 1]), b = (unsigned char)char_fold(text[i]);

		grams |= UINT64_C(1) << ((a * 37 + b) * 2654435761u >> 26);
	}
	return grams;
}

struct shelf *shelf_new(void)
{
	struct shelf *s = xalloc(sizeof *s);

	s->text_room = 256;
	s->text = xalloc(s->text_room);
	s->text_n = 1;
	return s;
}

void shelf_free(struct shelf *s)
{
	if (!s)
		return;
	free(s->v);
	free(s->names);
	free(s->slots);
	free(s->text);
	free(s);
}

static uint32_t text_add(struct shelf *s, const char *text, size_t n)
{
	size_t at = s->text_n;

	if (n == 0)
		return 0;
	while (s->text_room < at + n + 1) {
		s->text_room *= 2;
		s->text = xrealloc(s->text, s->text_room);
	}
	memcpy(s->text + at, text, n);
	s->text[at + n] = '\0';
	s->text_n += n + 1;
	return (uint32_t)at;
}

/* Neighbours are mostly of the same schema and table. */
static uint32_t text_again(struct shelf *s, uint32_t last, const char *text)
{
	if (!text)
		return 0;
	return strcmp(s->text + last, text) == 0 ? last : text_add(s, text, strlen(text));
}

static uint32_t type_add(struct shelf *s, const char *type)
{
	size_t known = s->types_n < ARRAY_LEN(s->types) ? s->types_n : ARRAY_LEN(s->types);

	if (!type)
		return 0;
	for (size_t i = 0; i < known; i++)
		if (strcmp(s->text + s->types[i], type) == 0)
			return s->types[i];
	return s->types[s->types_n++ % ARRAY_LEN(s->types)] = text_add(s, type, strlen(type));
}

/* At most `max` bytes, cut between characters. */
static size_t length_within(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1);

	if (n <= max)
		return n;
	for (n = max; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; n--)
		;
	return n;
}

static struct entry *entry_new(struct shelf *s)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->v = xrealloc(s->v, s->room * sizeof *s->v);
	}
	return &s->v[s->n++];
}

/* ---- names ---- */

static size_t hash_of(const char *text, size_t n)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 32);
}

/* Where this name is, or where its number goes. */
static uint32_t *slot_of(const struct shelf *s, const char *text, size_t n)
{
	size_t at = hash_of(text, n) & (s->slots_n - 1);

	for (; s->slots[at]; at = (at + 1) & (s->slots_n - 1)) {
		const struct name *name = &s->names[s->slots[at] - 1];

		if (name->n == n && memcmp(s->text + name->text, text, n) == 0)
			break;
	}
	return &s->slots[at];
}

static void slots_grow(struct shelf *s)
{
	free(s->slots);
	s->slots_n = s->slots_n ? 2 * s->slots_n : 128;
	s->slots = xalloc(s->slots_n * sizeof *s->slots);
	for (size_t i = 0; i < s->names_n; i++)
		*slot_of(s, s->text + s->names[i].text, s->names[i].n) = (uint32_t)i + 1;
}

static uint32_t name_add(struct shelf *s, const char *text, size_t n)
{
	uint32_t *slot;

	if (2 * s->names_n >= s->slots_n)
		slots_grow(s);
	slot = slot_of(s, text, n);
	if (*slot)
		return *slot - 1;
	if (s->names_n == s->names_room) {
		s->names_room = s->names_room ? 2 * s->names_room : 64;
		s->names = xrealloc(s->names, s->names_room * sizeof *s->names);
	}
	s->names[s->names_n] = (struct name){grams_of(text, n), text_add(s, text, n), letters_of(text, n), (uint16_t)n};
	*slot = (uint32_t)++s->names_n;
	return *slot - 1;
}

/* ---- items ---- */

void shelf_add(struct shelf *s, const struct item *item)
{
	const struct entry last = s->n ? s->v[s->n - 1] : (struct entry){0};
	size_t name_n = item->name ? strlen(item->name) : 0;
	size_t comment_n = item->comment ? length_within(item->comment, ITEM_COMMENT_MAX) : 0;
	struct entry e = {.kind = (uint8_t)item->kind};

	if (name_n == 0 || name_n > 4 * ITEM_NAME_MAX || s->text_n > UINT32_MAX / 2)
		return;
	e.name = name_add(s, item->name, name_n);
	e.schema = text_again(s, last.schema, item->schema);
	e.object = text_again(s, last.object, item->object);
	e.type = type_add(s, item->type);
	e.comment = comment_n ? text_add(s, item->comment, comment_n) : 0;
	e.comment_n = (uint16_t)comment_n;
	e.grams = grams_of(item->comment, comment_n);
	*entry_new(s) = e;
}

void shelf_trim(struct shelf *s)
{
	if (s->n) {
		s->v = xrealloc(s->v, s->n * sizeof *s->v);
		s->names = xrealloc(s->names, s->names_n * sizeof *s->names);
		s->room = s->n;
		s->names_room = s->names_n;
	}
	free(TAKE(s->slots));
	s->slots_n = 0;
	s->text = xrealloc(s->text, s->text_n);
	s->text_room = s->text_n;
}

size_t shelf_items(const struct shelf *s)
{
	return s->n;
}

size_t shelf_bytes(const struct shelf *s)
{
	return sizeof *s + s->room * sizeof *s->v + s->names_room * sizeof *s->names + s->slots_n * sizeof *s->slots +
	       s->text_room;
}

struct item shelf_at(const struct shelf *s, size_t i)
{
	const struct entry *e = &s->v[i];

	return (struct item){(enum item_kind)e->kind, s->text + e->schema, s->text + e->object,
			     entry_text(s, e),        s->text + e->type,   s->text + e->comment};
}
