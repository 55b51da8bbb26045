/* Random rows of random types, as the SQL API writes them, read in random slices and written: what went in comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "snowgate/resultset.h"

#define COLUMNS_MAX 12
#define ROWS_MAX    40
#define TURNS       1000
#define TEXT_MAX    2000

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* A cell as Snowflake has it, and what it is in CSV and in JSON. */
struct value {
	bool null;
	char cell[TEXT_MAX], csv[TEXT_MAX];
	size_t cell_n, csv_n;
	json_t *json;
};

static void set(struct value *v, const char *cell, size_t n)
{
	memcpy(v->cell, cell, n);
	memcpy(v->csv, cell, n);
	v->cell_n = v->csv_n = n;
}

static void set_text(struct value *v, const char *cell, const char *csv)
{
	set(v, cell, strlen(cell));
	memcpy(v->csv, csv, strlen(csv));
	v->csv_n = strlen(csv);
}

/* Characters of every length, and those that something could trip over. */
static size_t make_character(char *out)
{
	static const char *const odd[] = {"\"",
					  ",",
					  "\n",
					  "\r",
					  "\\",
					  "\t",
					  "\b",
					  "/",
					  "\x01",
					  "\x7F",
					  "'",
					  "\xC3\xA4",
					  "[",
					  "]",
					  "{",
					  "\xE2\x82\xAC",
					  "\xF0\x9F\x98\x80",
					  "\xEF\xBF\xBD",
					  " ",
					  "\f",
					  "\xC2\x80",
					  "\xED\x9F\xBF",
					  "\xF4\x8F\xBF\xBF",
					  "=",
					  "0",
					  "\\u0041"};
	const char *character = odd[below(ARRAY_LEN(odd))];

	if (below(3)) {
		out[0] = (char)('a' + below(26));
		return 1;
	}
	memcpy(out, character, strlen(character));
	return strlen(character);
}

static void make_text(struct value *v)
{
	char text[TEXT_MAX];
	size_t n = 0, most = below(8) ? below(20) : below(1000);

	while (n < most)
		n += make_character(text + n);
	set(v, text, n);
	v->json = json_stringn(text, n);
}

static void make_digits(char *out, size_t n)
{
	size_t at = 0;

	if (below(2))
		out[at++] = '-';
	out[at++] = (char)('1' + below(9));
	for (size_t i = 1; i < n; i++)
		out[at++] = (char)('0' + below(10));
	out[at] = '\0';
}

static void make_small(struct value *v)
{
	char text[40] = "0";

	if (below(5))
		make_digits(text, 1 + below(15));
	set_text(v, text, text);
	v->json = json_integer(strtoll(text, NULL, 10));
}

static void make_wide(struct value *v)
{
	char text[60];

	make_digits(text, 1 + below(38));
	set_text(v, text, text);
	v->json = json_string(text);
}

static void make_scaled(struct value *v)
{
	char text[60];

	snprintf(text, sizeof(text), "%s%u.%02u", below(2) ? "-" : "", below(1000000), below(100));
	set_text(v, text, text);
	v->json = json_string(text);
}

static void make_real(struct value *v)
{
	static const char *const none[] = {"NaN", "inf", "-inf"};
	char text[60];
	double number = ((double)below(2000000) - 1e6) / (1 + below(1000));

	if (below(10) == 0) {
		const char *word = none[below(3)];

		set_text(v, word, word);
		v->json = json_null();
		return;
	}
	snprintf(text, sizeof(text), below(2) ? "%.17g" : "%.17e", number);
	set_text(v, text, text);
	v->json = json_real(strtod(text, NULL));
}

static void make_boolean(struct value *v)
{
	bool is = below(2);

	set_text(v, is ? "true" : "false", is ? "true" : "false");
	v->json = json_boolean(is);
}

/* A moment from its parts: the test's own arithmetic, by the library's calendar. */
struct moment {
	int64_t seconds;
	uint32_t nanos;
	char date[40], time[40];
};

static void make_moment(struct moment *m)
{
	struct tm tm;
	time_t seconds;
	char fraction[12] = "";

	m->seconds = (int64_t)below(250000) * 1000003 + below(1000003);
	if (below(3) == 0)
		m->seconds = -m->seconds / 5;
	m->nanos = below(2) ? 0 : below(1000000000);
	m->nanos = below(2) ? m->nanos : m->nanos / 1000000 * 1000000;
	seconds = m->seconds;
	gmtime_r(&seconds, &tm);
	snprintf(m->date, sizeof(m->date), "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	if (m->nanos)
		snprintf(fraction, sizeof(fraction), ".%09u", m->nanos);
	if (m->nanos % 1000 == 0 && m->nanos)
		fraction[m->nanos % 1000000 ? 7 : 4] = '\0';
	snprintf(m->time, sizeof(m->time), "%02d:%02d:%02d%s", tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
}

/* Seconds and nanoseconds forward from them, as one decimal number. */
static void epoch_of(const struct moment *m, char *out, size_t room)
{
	if (m->seconds < 0 && m->nanos)
		snprintf(out, room, "-%lld.%09u", (long long)-(m->seconds + 1), 1000000000 - m->nanos);
	else
		snprintf(out, room, "%lld.%09u", (long long)m->seconds, m->nanos);
}

static void make_date(struct value *v)
{
	struct moment m;
	char cell[60];

	make_moment(&m);
	snprintf(cell, sizeof(cell), "%lld", (long long)((m.seconds - ((m.seconds % 86400) + 86400) % 86400) / 86400));
	set_text(v, cell, m.date);
	v->json = json_string(m.date);
}

static void make_time(struct value *v)
{
	struct moment m;
	char cell[60];

	make_moment(&m);
	snprintf(cell, sizeof(cell), "%lld.%09u", (long long)(((m.seconds % 86400) + 86400) % 86400), m.nanos);
	set_text(v, cell, m.time);
	v->json = json_string(m.time);
}

static void make_stamp(struct value *v, const char *zone, const char *offset)
{
	struct moment m;
	char epoch[60], cell[80], text[120];

	make_moment(&m);
	epoch_of(&m, epoch, sizeof(epoch));
	snprintf(cell, sizeof(cell), "%s%s", epoch, offset);
	snprintf(text, sizeof(text), "%sT%s%s", m.date, m.time, zone);
	set_text(v, cell, text);
	v->json = json_string(text);
}

static void make_ntz(struct value *v)
{
	make_stamp(v, "", "");
}

static void make_ltz(struct value *v)
{
	make_stamp(v, "Z", "");
}

static void make_tz(struct value *v)
{
	make_stamp(v, "+00:00", " 1440");
}

static json_t *make_tree(uint32_t depth)
{
	struct value text;
	json_t *tree;

	switch (below(depth ? 7 : 5)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(below(2));
	case 2:
		return json_integer((json_int_t)below(1000000) - 500000);
	case 3:
	case 4:
		make_text(&text);
		return text.json;
	case 5:
		tree = json_array();
		for (uint32_t n = below(4); n; n--)
			json_array_append_new(tree, make_tree(depth - 1));
		return tree;
	default:
		tree = json_object();
		for (uint32_t n = below(4); n; n--)
			json_object_set_new(tree, (const char[]){(char)('a' + n), ' ', '"', '\0'},
					    make_tree(depth - 1));
		return tree;
	}
}

/* As Snowflake prints it, over several lines; in CSV without them. */
static void make_variant(struct value *v)
{
	json_t *tree = make_tree(2);
	char *lines = json_dumps(tree, JSON_INDENT(2) | JSON_ENCODE_ANY),
	     *line = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);

	if (strlen(lines) < TEXT_MAX) {
		set_text(v, lines, line);
		v->json = json_incref(tree);
	} else {
		set_text(v, "{}", "{}");
		v->json = json_object();
	}
	json_decref(tree);
	free(lines);
	free(line);
}

static const struct type {
	const char *text;
	void (*make)(struct value *v);
} types[] = {
    {"\"type\":\"fixed\",\"precision\":15,\"scale\":0", make_small},
    {"\"type\":\"fixed\",\"precision\":38,\"scale\":0", make_wide},
    {"\"type\":\"fixed\",\"precision\":10,\"scale\":2", make_scaled},
    {"\"type\":\"real\"", make_real},
    {"\"type\":\"text\",\"length\":16777216", make_text},
    {"\"type\":\"boolean\"", make_boolean},
    {"\"type\":\"date\"", make_date},
    {"\"type\":\"time\",\"precision\":0,\"scale\":9", make_time},
    {"\"type\":\"timestamp_ntz\",\"precision\":0,\"scale\":9", make_ntz},
    {"\"type\":\"timestamp_ltz\",\"precision\":0,\"scale\":9", make_ltz},
    {"\"type\":\"timestamp_tz\",\"precision\":0,\"scale\":9", make_tz},
    {"\"type\":\"variant\"", make_variant},
};

/* ---- the service's side ---- */

static void encode_escape(struct buf *b, uint32_t code)
{
	if (code >= 0x10000)
		buf_addf(b, "\\u%04x\\u%04X", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
	else
		buf_addf(b, below(2) ? "\\u%04x" : "\\u%04X", code);
}

static uint32_t code_of(const char *p, size_t n)
{
	uint32_t code = n == 1 ? (unsigned char)*p : (unsigned char)*p & (0x7Fu >> n);

	for (size_t i = 1; i < n; i++)
		code = code << 6 | ((unsigned char)p[i] & 0x3F);
	return code;
}

/* A string in one of the many spellings that JSON has for it. */
static void encode_string(struct buf *b, const char *text, size_t n)
{
	static const char plain[] = "\"\\/\b\f\n\r\t", letters[] = "\"\\/bfnrt";

	buf_addc(b, '"');
	for (size_t length; n; text += length, n -= length) {
		const char *letter = strchr(plain, *text);

		length = utf8_sequence(text, n);
		if (letter && *text && (*text != '/' || below(2)) && below(8))
			buf_addf(b, "\\%c", letters[letter - plain]);
		else if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || below(20) == 0)
			encode_escape(b, code_of(text, length));
		else
			buf_add(b, text, length);
	}
	buf_addc(b, '"');
}

static void encode_space(struct buf *b)
{
	static const char *const spaces[] = {" ", "\n", "\t", "\r\n  "};

	if (below(6) == 0)
		buf_adds(b, spaces[below(4)]);
}

static void encode_head(struct buf *b, const size_t *column_types, size_t columns_n, size_t rows_n)
{
	buf_addf(b,
		 "\"resultSetMetaData\":{\"numRows\":%zu,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":%zu}],"
		 "\"rowType\":[",
		 rows_n, rows_n);
	for (size_t i = 0; i < columns_n; i++)
		buf_addf(b, "%s{\"name\":\"C%zu\",%s,\"nullable\":true}", i ? "," : "", i % 4,
			 types[column_types[i]].text);
	buf_adds(b, "]}");
}

static void encode_data(struct buf *b, const struct value *values, size_t columns_n, size_t rows_n)
{
	buf_adds(b, "\"data\":");
	encode_space(b);
	buf_addc(b, '[');
	for (size_t i = 0; i < rows_n * columns_n; i++) {
		const struct value *v = &values[i];

		encode_space(b);
		buf_adds(b, i == 0 ? "[" : i % columns_n == 0 ? ",[" : ",");
		encode_space(b);
		if (v->null)
			buf_adds(b, "null");
		else
			encode_string(b, v->cell, v->cell_n);
		encode_space(b);
		if (i % columns_n == columns_n - 1)
			buf_addc(b, ']');
	}
	buf_addc(b, ']');
}

/* ---- the reader's side ---- */

/* Reads in random slices, and writes; the output is emptied now and then, as an export does it. */
static struct buf decode(struct slice text, enum rows_format format, size_t *rows)
{
	struct resultset *r = resultset_new(true, SIZE_MAX);
	struct buf out = buf_with_ceiling(1 << 17), all = buf_with_ceiling(1 << 24);
	enum resultset_event event = RESULTSET_MORE;
	struct rows_writer w;

	for (size_t at = 0, n; at < text.n; at += n) {
		uint32_t most = 1 << below(15);
		char *copy;
		struct slice in;

		n = 1 + below(most);
		n = text.n - at < n ? text.n - at : n;
		copy = xalloc(n);
		memcpy(copy, text.data + at, n);
		in = (struct slice){copy, n};
		while ((event = resultset_next(r, &in)) == RESULTSET_ROW || event == RESULTSET_HEAD) {
			size_t cells_n;
			const struct cell *row = resultset_row(r, &cells_n);

			if (event == RESULTSET_HEAD)
				rows_begin(&w, format, resultset_head(r)->columns, resultset_head(r)->columns_n,
					   (struct rows_budget){SIZE_MAX, SIZE_MAX, SIZE_MAX}, &out);
			else if (!rows_add(&w, row, cells_n) || below(5) == 0) {
				bool again = w.cut == CUT_BYTES;

				buf_add(&all, out.data, out.n);
				buf_clear(&out);
				rows_drained(&w);
				assert_true(!again || rows_add(&w, row, cells_n));
			}
		}
		free(copy);
		assert_int_not_equal(event, RESULTSET_BAD);
	}
	assert_int_equal(event, RESULTSET_END);
	assert_int_equal(w.cut, CUT_NONE);
	assert_int_equal(w.cells_cut, 0);
	buf_add(&all, buf_text(&out), out.n);
	*rows = w.rows;
	buf_free(&out);
	resultset_free(r);
	return all;
}

/* A field of RFC 4180, unquoted into `out`; *null where it is empty and without quotes. Returns its end. */
static const char *csv_field(const char *p, char *out, size_t *n, bool *null)
{
	*n = 0;
	*null = *p == ',' || *p == '\n';
	if (*p != '"') {
		while (*p != ',' && *p != '\n')
			out[(*n)++] = *p++;
		return p;
	}
	for (p++; *p != '"' || p[1] == '"'; p++) {
		p += *p == '"';
		out[(*n)++] = *p;
	}
	return p + 1;
}

static void check_csv(struct slice text, const struct value *values, size_t columns_n, size_t rows_n)
{
	const char *p = memchr(text.data, '\n', text.n);
	static char field[TEXT_MAX * 2];

	for (size_t i = 0; i < rows_n * columns_n; i++) {
		size_t n;
		bool null;

		p = csv_field(p + 1, field, &n, &null);
		assert_int_equal(*p, i % columns_n == columns_n - 1 ? '\n' : ',');
		assert_int_equal(null, values[i].null);
		if (null)
			continue;
		assert_int_equal(n, values[i].csv_n);
		assert_memory_equal(field, values[i].csv, n);
	}
	assert_ptr_equal(p + 1, text.data + text.n);
}

static void check_value(const json_t *got, const struct value *v)
{
	json_t *null = json_null();
	bool equal = json_equal(got, v->null ? null : v->json);

	/* a number may lack its point */
	if (!equal && !v->null && json_is_number(got) && json_is_number(v->json))
		equal = json_number_value(got) == json_number_value(v->json);
	if (!equal)
		fail_msg("%.*s", (int)v->cell_n, v->cell);
}

static void check_json(struct slice text, const struct value *values, size_t columns_n, size_t rows_n)
{
	struct buf all = buf_with_ceiling(1 << 24);
	json_t *rows = NULL;

	buf_addc(&all, '[');
	buf_add(&all, text.data, text.n);
	buf_addc(&all, ']');
	assert_int_equal(json_parse_trusted(buf_slice(&all), &rows), JSON_OK);
	assert_int_equal(json_array_size(rows), rows_n);
	for (size_t i = 0; i < rows_n * columns_n; i++)
		check_value(json_array_get(json_array_get(rows, i / columns_n), i % columns_n), &values[i]);
	json_decref(rows);
	buf_free(&all);
}

/* C0, C1, C2, C3, C0_2, ... */
static void check_jsonl(struct slice text, const struct value *values, size_t columns_n, size_t rows_n)
{
	const char *p = text.data;

	for (size_t row = 0; row < rows_n; row++) {
		const char *end = memchr(p, '\n', (size_t)(text.data + text.n - p));
		json_t *object = NULL;

		assert_int_equal(json_parse(((struct slice){p, (size_t)(end - p)}), 64, &object, NULL, 0), JSON_OK);
		assert_int_equal(json_object_size(object), columns_n);
		for (size_t i = 0; i < columns_n; i++) {
			char key[20];

			snprintf(key, sizeof(key), i < 4 ? "C%zu" : "C%zu_%zu", i % 4, i / 4 + 1);
			check_value(json_object_get(object, key), &values[row * columns_n + i]);
		}
		json_decref(object);
		p = end + 1;
	}
	assert_ptr_equal(p, text.data + text.n);
}

static void make_values(struct value *values, const size_t *column_types, size_t columns_n, size_t rows_n)
{
	for (size_t i = 0; i < rows_n * columns_n; i++) {
		values[i].json = NULL;
		values[i].null = below(6) == 0;
		if (!values[i].null)
			types[column_types[i % columns_n]].make(&values[i]);
	}
}

static void turn(void)
{
	static struct value values[ROWS_MAX * COLUMNS_MAX];
	size_t column_types[COLUMNS_MAX], columns_n = 1 + below(COLUMNS_MAX), rows_n = below(ROWS_MAX + 1), rows;
	struct buf text = buf_with_ceiling(1 << 24), out;
	bool early = below(4) == 0;

	for (size_t i = 0; i < columns_n; i++)
		column_types[i] = below(ARRAY_LEN(types));
	make_values(values, column_types, columns_n, rows_n);
	buf_adds(&text, "{\"code\":\"090001\",");
	for (int i = 0; i < 2; i++) {
		if ((i == 0) != early)
			encode_head(&text, column_types, columns_n, rows_n);
		else
			encode_data(&text, values, columns_n, rows_n);
		buf_adds(&text, i ? "}" : ",");
	}
	for (int format = ROWS_CSV; format <= ROWS_JSONL; format++) {
		out = decode(buf_slice(&text), (enum rows_format)format, &rows);
		assert_int_equal(rows, rows_n);
		(format == ROWS_CSV    ? check_csv
		 : format == ROWS_JSON ? check_json
				       : check_jsonl)(buf_slice(&out), values, columns_n, rows_n);
		buf_free(&out);
	}
	for (size_t i = 0; i < rows_n * columns_n; i++)
		json_decref(values[i].json);
	buf_free(&text);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < TURNS; i++) {
		seed = i * 7919 + 1;
		turn();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
