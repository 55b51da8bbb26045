/* Reads TOML into the configuration's tree, by recursive descent over the bytes. */
#include <string.h>
#include "toml.h"

struct reader {
	struct loading *l;
	const char *p, *end, *file;
	int line;
};

static struct node *read_value(struct reader *r, int depth);

/* The byte at `offset`, or NUL past the end (the text holds none). */
static char peek(const struct reader *r, size_t offset)
{
	return offset < (size_t)(r->end - r->p) ? r->p[offset] : '\0';
}

static bool refuse(struct reader *r, const char *reason)
{
	struct node at = {.file = r->file, .line = r->line};
	conf_fault(r->l, &at, "", "not valid TOML: %s", reason);
	return false;
}

static bool take(struct reader *r, char c)
{
	if (peek(r, 0) != c || r->p == r->end)
		return false;
	r->line += c == '\n';
	r->p++;
	return true;
}

static bool starts(const struct reader *r, const char *text)
{
	size_t n = strlen(text);
	return (size_t)(r->end - r->p) >= n && memcmp(r->p, text, n) == 0;
}

static void skip_blanks(struct reader *r)
{
	while (peek(r, 0) == ' ' || peek(r, 0) == '\t')
		r->p++;
}

static void skip_comment(struct reader *r)
{
	skip_blanks(r);
	if (peek(r, 0) != '#')
		return;
	while (r->p < r->end && *r->p != '\n')
		r->p++;
}

/* Blanks, comments and line ends. */
static void skip_lines(struct reader *r)
{
	do {
		skip_comment(r);
		if (starts(r, "\r\n"))
			r->p++;
	} while (take(r, '\n'));
}

static bool end_of_line(struct reader *r)
{
	skip_comment(r);
	if (starts(r, "\r\n"))
		r->p++;
	return r->p == r->end || take(r, '\n') ||
	       refuse(r, "something follows the value; a text with blanks stands in quotes");
}

static void utf8_add(struct buf *b, uint32_t c)
{
	char bytes[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	bytes[0] = (char)(marks[n] | c);
	buf_add(b, bytes, n);
}

static bool read_unicode(struct reader *r, size_t digits, struct buf *out)
{
	uint32_t c = 0;
	for (size_t i = 0; i < digits; i++, r->p++) {
		char d = peek(r, 0);
		const char *at = d ? strchr("0123456789abcdef0123456789ABCDEF", d) : NULL;
		if (!at)
			return refuse(r, "\\u needs 4 hexadecimal digits, \\U 8");
		c = (c << 4) | ((uint32_t)(at - "0123456789abcdef0123456789ABCDEF") & 15);
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return refuse(r, "\\u names no character");
	utf8_add(out, c);
	return true;
}

/* After a backslash. Whether the text has become too long is seen at its end. */
static bool read_escape(struct reader *r, struct buf *out)
{
	static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
	char c = peek(r, 0);
	const char *at = c ? strchr(names, c) : NULL;
	if (c == 'u' || c == 'U') {
		r->p++;
		return read_unicode(r, c == 'u' ? 4 : 8, out);
	}
	if (!at)
		return refuse(r, "unknown escape; write \\\\ for a backslash, or use '...' where it means nothing");
	r->p++;
	buf_addc(out, values[at - names]);
	return true;
}

/* A backslash at the end of a line of a multi-line text: it and all blanks and line ends after it go. */
static bool skip_folded(struct reader *r)
{
	const char *p = r->p;
	while (p < r->end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	if (p == r->end || *p != '\n')
		return false;
	while (r->p < r->end && strchr(" \t\r\n", *r->p))
		r->line += *r->p++ == '\n';
	return true;
}

static bool read_line_text(struct reader *r, char quote, struct buf *out)
{
	r->p++;
	while (r->p < r->end && *r->p != quote) {
		char c = *r->p++;
		if ((unsigned char)c < ' ' && c != '\t')
			return refuse(r, "a text ends on its line; use three quotes for more");
		if (c == '\\' && quote == '"') {
			if (!read_escape(r, out))
				return false;
		} else {
			buf_addc(out, c);
		}
	}
	return take(r, quote) || refuse(r, "a text without its closing quote");
}

static bool read_lines_text(struct reader *r, char quote, struct buf *out)
{
	const char close[] = {quote, quote, quote, '\0'};
	r->p += 3;
	if (starts(r, "\r\n"))
		r->p++;
	take(r, '\n');
	/* Up to two quotes may stand right before the closing ones. */
	while (r->p < r->end && (!starts(r, close) || peek(r, 3) == quote)) {
		char c = *r->p++;
		r->line += c == '\n';
		if ((unsigned char)c < ' ' && !strchr("\t\r\n", c))
			return refuse(r, "a control character in a text");
		if (c == '\\' && quote == '"') {
			if (!skip_folded(r) && !read_escape(r, out))
				return false;
		} else if (c != '\r' || peek(r, 0) != '\n') {
			buf_addc(out, c);
		}
	}
	if (!starts(r, close))
		return refuse(r, "a text without its three closing quotes");
	r->p += 3;
	return true;
}

static bool read_text(struct reader *r, bool lines_allowed, struct buf *out)
{
	char quote = *r->p;
	bool three = peek(r, 1) == quote && peek(r, 2) == quote;
	if (three && !lines_allowed)
		return refuse(r, "a key ends on its line");
	return three ? read_lines_text(r, quote, out) : read_line_text(r, quote, out);
}

/* One part of a dotted key. */
static const char *read_key(struct reader *r)
{
	struct buf key = buf_with_ceiling(1024);
	bool good = true;
	skip_blanks(r);
	bool quoted = peek(r, 0) == '"' || peek(r, 0) == '\'';
	if (quoted)
		good = read_text(r, false, &key);
	while (!quoted && peek(r, 0) &&
	       strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", peek(r, 0)))
		buf_addc(&key, *r->p++);
	if (good && (buf_failed(&key) || (!quoted && !key.n)))
		good = refuse(r, "a key expected: letters, digits, _ and -, or a text in quotes");
	const char *text = good ? conf_text(r->l, "%s", buf_text(&key)) : NULL;
	buf_free(&key);
	skip_blanks(r);
	return text;
}

/* The table `key` of `map`, made where it is not; of an array of tables its last one. */
static struct node *descend(struct reader *r, struct node *map, const char *key)
{
	struct node *child = node_get(map, key);
	if (!child) {
		child = node_new(r->l, NODE_MAP, r->file, r->line);
		if (!child)
			return NULL;
		child->key = key;
		node_append(map, child);
	}
	if (child->kind == NODE_LIST && !child->closed && child->last)
		child = child->last;
	if (child->kind != NODE_MAP || child->closed) {
		refuse(r, "the name is taken by a value that is no table");
		return NULL;
	}
	return child;
}

/* Reads a dotted key; the table that its last part belongs to, which goes to *last. */
static struct node *read_path(struct reader *r, struct node *map, const char **last)
{
	*last = read_key(r);
	for (int depth = 0; *last && take(r, '.'); depth++) {
		if (depth >= CONF_DEPTH_MAX) {
			refuse(r, "nested too deeply");
			return NULL;
		}
		map = descend(r, map, *last);
		if (!map)
			return NULL;
		*last = read_key(r);
	}
	return *last ? map : NULL;
}

static bool read_member(struct reader *r, struct node *map, int depth)
{
	const char *key;
	int line = r->line;
	map = read_path(r, map, &key);
	if (!map)
		return false;
	if (!take(r, '='))
		return refuse(r, "= expected after the key");
	skip_blanks(r);
	struct node *value = read_value(r, depth + 1);
	if (!value)
		return false;
	if (node_get(map, key))
		return refuse(r, "a key is given twice");
	value->key = key;
	value->line = line;
	node_append(map, value);
	return true;
}

static struct node *read_array(struct reader *r, int depth)
{
	struct node *list = node_new(r->l, NODE_LIST, r->file, r->line);
	if (!list || !take(r, '['))
		return NULL;
	list->closed = true;
	for (skip_lines(r); !take(r, ']'); skip_lines(r)) {
		struct node *item = read_value(r, depth + 1);
		if (!item)
			return NULL;
		node_append(list, item);
		skip_lines(r);
		if (!take(r, ',') && peek(r, 0) != ']') {
			refuse(r, ", or ] expected in a list");
			return NULL;
		}
	}
	return list;
}

static struct node *read_inline(struct reader *r, int depth)
{
	struct node *map = node_new(r->l, NODE_MAP, r->file, r->line);
	if (!map || !take(r, '{'))
		return NULL;
	skip_blanks(r);
	bool end = take(r, '}');
	while (!end) {
		if (!read_member(r, map, depth))
			return NULL;
		skip_blanks(r);
		end = take(r, '}');
		if (!end && !take(r, ',')) {
			refuse(r, ", or } expected in an inline table");
			return NULL;
		}
	}
	map->closed = true;
	return map;
}

/* A number, date or boolean: its form is checked, its text kept. */
static struct node *read_bare(struct reader *r)
{
	static const char *const words[] = {"true", "false", "inf", "+inf", "-inf", "nan", "+nan", "-nan"};
	const char *from = r->p;
	while (r->p < r->end && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_.:", *r->p))
		r->p++;
	struct slice text = {from, (size_t)(r->p - from)};
	const char *digit = text.n && (*from == '+' || *from == '-') ? from + 1 : from;
	bool known = digit < r->p && *digit >= '0' && *digit <= '9';
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		known = known || slice_is(text, words[i]);
	if (!known) {
		refuse(r, "a value expected; a text stands in quotes");
		return NULL;
	}
	struct node *n = node_new(r->l, NODE_SCALAR, r->file, r->line);
	return n && node_set_text(r->l, n, text.data, text.n) ? n : NULL;
}

static struct node *read_quoted(struct reader *r)
{
	struct buf text = buf_with_ceiling(CONF_FILE_BYTES);
	struct node *n = node_new(r->l, NODE_SCALAR, r->file, r->line);
	bool good = n && read_text(r, true, &text) && node_set_text(r->l, n, buf_text(&text), text.n);
	buf_free(&text);
	if (!good)
		return NULL;
	n->quoted = true;
	return n;
}

static struct node *read_value(struct reader *r, int depth)
{
	if (depth > CONF_DEPTH_MAX) {
		refuse(r, "nested too deeply");
		return NULL;
	}
	switch (peek(r, 0)) {
	case '"':
	case '\'':
		return read_quoted(r);
	case '[':
		return read_array(r, depth);
	case '{':
		return read_inline(r, depth);
	default:
		return read_bare(r);
	}
}

/* A new table at the end of the array of tables `key`. */
static struct node *open_array_table(struct reader *r, struct node *parent, const char *key)
{
	struct node *list = node_get(parent, key);
	if (!list) {
		list = node_new(r->l, NODE_LIST, r->file, r->line);
		if (!list)
			return NULL;
		list->key = key;
		node_append(parent, list);
	}
	if (list->kind != NODE_LIST || list->closed) {
		refuse(r, "the name is taken by something that is no array of tables");
		return NULL;
	}
	struct node *map = node_new(r->l, NODE_MAP, r->file, r->line);
	if (map)
		node_append(list, map);
	return map;
}

static struct node *open_table(struct reader *r, struct node *parent, const char *key)
{
	struct node *old = node_get(parent, key);
	/* [a.b] may come before [a]; what was written itself may not be written again. */
	if (old && old->kind == NODE_MAP && old->opened) {
		refuse(r, "a table is given twice");
		return NULL;
	}
	if (old && old->kind != NODE_MAP) {
		refuse(r, "the name is taken by a value that is no table");
		return NULL;
	}
	struct node *map = descend(r, parent, key);
	if (map) {
		map->opened = true;
		map->line = r->line;
	}
	return map;
}

static struct node *read_header(struct reader *r, struct node *root)
{
	const char *key;
	take(r, '[');
	bool array = take(r, '[');
	struct node *parent = read_path(r, root, &key);
	if (!parent)
		return NULL;
	if (!take(r, ']') || (array && !take(r, ']'))) {
		refuse(r, "] expected after the table's name");
		return NULL;
	}
	struct node *map = array ? open_array_table(r, parent, key) : open_table(r, parent, key);
	return map && end_of_line(r) ? map : NULL;
}

static bool check_encoding(struct reader *r)
{
	int line = 1;
	for (const char *p = r->p; p < r->end;) {
		size_t n = utf8_sequence(p, (size_t)(r->end - p));
		line += *p == '\n';
		if (n == 0 || *p == '\0') {
			r->line = line;
			return refuse(r, "the file must be UTF-8 without NUL characters");
		}
		p += n;
	}
	return true;
}

struct node *toml_parse(struct loading *l, struct slice text, const char *file)
{
	struct reader r = {.l = l, .p = text.data, .end = text.data + text.n, .file = file, .line = 1};
	struct node *root = node_new(l, NODE_MAP, file, 1), *table = root;
	if (!root || !check_encoding(&r))
		return NULL;
	if (starts(&r, "\xef\xbb\xbf"))
		r.p += 3;
	for (skip_lines(&r); r.p < r.end; skip_lines(&r)) {
		if (peek(&r, 0) == '[')
			table = read_header(&r, root);
		else if (!read_member(&r, table, 0) || !end_of_line(&r))
			return NULL;
		if (!table)
			return NULL;
	}
	return root;
}
