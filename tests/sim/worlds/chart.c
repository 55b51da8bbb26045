/* What happened in a world, kept while it runs and printed as a sequence chart. */
#include <stdarg.h>
#include <string.h>

#include "world.h"

enum { WIDTH = 34, TEXT = 96, ID = 40 };

struct entry {
	usec_t at;
	enum lane from, to;
	uint32_t op;
	char operation[ID];
	char text[TEXT];
};
struct name {
	char operation[ID], request[ID];
	uint32_t op;
};
static struct {
	struct entry *v;
	size_t n, room;
	struct name *names;
	size_t names_n;
} charted;

bool charting;

void chart_begin(void)
{
	free(charted.v);
	free(charted.names);
	memset(&charted, 0, sizeof charted);
}

void chart_add(enum lane from, enum lane to, uint32_t op, const char *operation, const char *format, ...)
{
	struct entry *e;
	va_list args;

	if (charted.n == charted.room) {
		charted.room = charted.room ? 2 * charted.room : 1024;
		charted.v = xrealloc(charted.v, charted.room * sizeof *charted.v);
	}
	e = &charted.v[charted.n++];
	*e = (struct entry){.at = clock_now() - world.began, .from = from, .to = to, .op = op};
	snprintf(e->operation, sizeof e->operation, "%s", operation ? operation : op || from == to ? "" : "none");
	va_start(args, format);
	vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
}

static struct name *name_of(const char *operation)
{
	for (size_t i = 0; i < charted.names_n; i++)
		if (!strcmp(charted.names[i].operation, operation))
			return &charted.names[i];
	return NULL;
}

void chart_request(const char *operation, const char *request_id)
{
	struct name *name = name_of(operation);

	if (name || !*request_id)
		return;
	charted.names = xrealloc(charted.names, (charted.names_n + 1) * sizeof *charted.names);
	name = &charted.names[charted.names_n++];
	memset(name, 0, sizeof *name);
	snprintf(name->operation, ID, "%s", operation);
	snprintf(name->request, ID, "%s", request_id);
}

void chart_sent(const char *request_id, uint32_t op)
{
	for (size_t i = 0; i < charted.names_n; i++)
		if (!strcmp(charted.names[i].request, request_id))
			charted.names[i].op = op;
}

uint32_t chart_op(const char *operation)
{
	const struct name *name = name_of(operation);

	return name ? name->op : 0;
}

/* ---- printing ---- */

static void arrow(char *line, const struct entry *e)
{
	enum lane left = e->from < e->to ? e->from : e->to, right = e->from < e->to ? e->to : e->from;
	size_t begin = left * WIDTH + 1, end = right * WIDTH, room, text;

	if (left == right)
		end = LANES_N * WIDTH + 40;
	room = end - begin;
	text = strlen(e->text);
	if (left == right) {
		memcpy(line + begin + 1, e->text, text);
		return;
	}
	memset(line + begin, '-', room);
	if (text > room - 4)
		text = room - 4;
	line[begin + 1] = ' ';
	memcpy(line + begin + 2, e->text, text);
	line[begin + 2 + text] = ' ';
	if (e->from < e->to)
		line[end - 1] = '>';
	else
		line[begin] = '<';
}

static void print_entry(FILE *f, const struct entry *e)
{
	char line[LANES_N * WIDTH + 2 * TEXT];
	size_t n = sizeof line - 1;

	memset(line, ' ', n);
	for (int i = 0; i < LANES_N; i++)
		line[i * WIDTH] = '|';
	arrow(line, e);
	while (n && line[n - 1] == ' ')
		n--;
	fprintf(f, "%10.1f %.*s\n", (double)e->at / USEC_PER_MS, (int)n, line);
}

/* Among all calls: whose it is. */
static void name_entry(struct entry *e, uint32_t op)
{
	char text[TEXT];

	if (op)
		snprintf(text, sizeof text, "q%u %.80s", op, e->text);
	else
		snprintf(text, sizeof text, "%.4s %.80s", e->operation, e->text);
	memcpy(e->text, text, sizeof text);
}

void chart_print(FILE *f, uint32_t op)
{
	static const char *const lanes[] = {"client", "gateway", "store", "snowflake"};

	fprintf(f, "%10s", "ms");
	for (int i = 0; i < LANES_N; i++)
		fprintf(f, " %-*s", WIDTH - 1, lanes[i]);
	fputc('\n', f);
	for (size_t i = 0; i < charted.n; i++) {
		struct entry *e = &charted.v[i];
		uint32_t of = *e->operation ? chart_op(e->operation) : e->op;

		if (!op)
			name_entry(e, of);
		if (!op || of == op || (!of && !*e->operation))
			print_entry(f, e);
	}
}
