/* Small results kept whole in a call's arena, by row and column. */
#include <string.h>

#include "snowgate/rows.h"

#define ROWS_FIRST 16

struct cells {
	struct arena *arena;
	size_t columns_n, left; /* bytes */
	struct cell **rows;
	size_t rows_n, rows_room;
};

struct cells *cells_new(struct arena *a, size_t columns_n, size_t ceiling)
{
	struct cells *c = arena_alloc(a, sizeof(*c));

	if (!c)
		return NULL;
	c->arena = a;
	c->columns_n = columns_n;
	c->left = ceiling;
	return c;
}

static void *take(struct cells *c, size_t n)
{
	void *memory = n <= c->left ? arena_alloc(c->arena, n) : NULL;

	if (memory)
		c->left -= n;
	return memory;
}

/* The old table stays in the arena: as much again as the tables in use, at most. */
static bool table_grow(struct cells *c)
{
	size_t room = c->rows_room ? c->rows_room * 2 : ROWS_FIRST;
	struct cell **rows = take(c, room * sizeof(*rows));

	if (!rows)
		return false;
	if (c->rows_n)
		memcpy(rows, c->rows, c->rows_n * sizeof(*rows));
	c->rows = rows;
	c->rows_room = room;
	return true;
}

bool cells_add(struct cells *c, const struct cell *row, size_t n)
{
	size_t size = c->columns_n * sizeof(*row);
	struct cell *copy;
	char *text;

	n = n < c->columns_n ? n : c->columns_n;
	for (size_t i = 0; i < n; i++)
		size += row[i].text ? row[i].n + 1 : 0;
	if (c->rows_n == c->rows_room && !table_grow(c))
		return false;
	copy = take(c, size);
	if (!copy)
		return false;
	text = (char *)(copy + c->columns_n);
	for (size_t i = 0; i < n; i++) {
		if (!row[i].text)
			continue;
		copy[i] = (struct cell){text, row[i].n, row[i].whole};
		if (row[i].n)
			memcpy(text, row[i].text, row[i].n);
		text += row[i].n + 1;
	}
	c->rows[c->rows_n++] = copy;
	return true;
}

size_t cells_rows(const struct cells *c)
{
	return c ? c->rows_n : 0;
}

struct cell cells_at(const struct cells *c, size_t row, size_t column)
{
	if (row >= cells_rows(c) || column >= c->columns_n)
		return (struct cell){NULL, 0, 0};
	return c->rows[row][column];
}
