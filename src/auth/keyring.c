/* The file of API keys as an immutable set: read with every fault told, looked up by id. */
#include "keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "snowgate/file.h"
#include "snowgate/wheel.h"

enum { LINE_BYTES_MAX = 1024 };

struct reader {
	struct keyring *ring;
	const char *file;
	const char *begin;
	int line;
	char *why;
	size_t why_size, why_used, faults;
};

static void fault(struct reader *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds a line to `why`, whole or not at all. */
static void fault(struct reader *r, const char *format, ...)
{
	struct buf b = buf_with_ceiling(LINE_BYTES_MAX + 4096);
	va_list args;
	va_start(args, format);
	bool ok = buf_addf(&b, "%s%s:%d: ", r->why_used ? "\n" : "", r->file, r->line) && buf_addv(&b, format, args);
	va_end(args);
	if (ok && b.n + 1 <= r->why_size - r->why_used) {
		memcpy(r->why + r->why_used, b.data, b.n + 1);
		r->why_used += b.n;
	}
	r->faults++;
	buf_free(&b);
}

bool key_name_is_valid(struct slice name, size_t max)
{
	if (!name.data || !name.n || name.n > max)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

static bool is_id(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!(id.data[i] >= 'a' && id.data[i] <= 'z') && !(id.data[i] >= '2' && id.data[i] <= '7'))
			return false;
	return id.n == KEY_ID_LENGTH;
}

void key_checksum(const char body[KEY_BODY_LENGTH], char out[KEY_CHECK_LENGTH])
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t crc = crypt_crc32(body, KEY_BODY_LENGTH);
	for (int i = 0; i < KEY_CHECK_LENGTH; i++)
		out[i] = alphabet[crc >> (27 - 5 * i) & 31];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off the front of the line; absent at its end or where a comment begins. */
static struct slice take_word(struct slice *line)
{
	while (line->n && is_blank(line->data[0]))
		line->data++, line->n--;
	if (!line->n || line->data[0] == '#')
		return (struct slice){NULL, 0};
	struct slice word = {line->data, 0};
	while (word.n < line->n && !is_blank(line->data[word.n]))
		word.n++;
	line->data += word.n;
	line->n -= word.n;
	return word;
}

static bool read_name(struct reader *r, struct slice word, struct key *key)
{
	if (!key_name_is_valid(word, KEY_NAME_MAX)) {
		fault(r, "a name is 1 to %d of A-Z a-z 0-9 . _ -", KEY_NAME_MAX);
		return false;
	}
	memcpy(key->name, word.data, word.n);
	return true;
}

static bool read_id(struct reader *r, struct slice word, struct key *key)
{
	if (!word.data || !is_id(word)) {
		fault(r, "the second word must be the key's id, %d of a-z 2-7", KEY_ID_LENGTH);
		return false;
	}
	memcpy(key->id, word.data, word.n);
	return true;
}

static bool read_hash(struct reader *r, struct slice word, struct key *key)
{
	struct buf bytes = buf_with_ceiling(SHA256_BYTES);
	bool ok = hex_decode(&bytes, word) && bytes.n == SHA256_BYTES;
	if (ok)
		memcpy(key->hash.bytes, bytes.data, SHA256_BYTES);
	else
		fault(r, "the third word must be the key's SHA-256, 64 hexadecimal digits");
	buf_free(&bytes);
	return ok;
}

static void read_time(struct reader *r, const char *name, struct slice value, int64_t *out)
{
	usec_t time;
	if (*out != KEY_NO_TIME)
		fault(r, "%s is given twice", name);
	else if (!clock_parse(value, &time))
		fault(r, "%s must be a time as 2027-01-31T00:00:00Z", name);
	else
		*out = time / USEC_PER_S;
}

static void read_group(struct reader *r, struct slice value, struct key *key)
{
	if (key->group[0])
		fault(r, "group is given twice");
	else if (!key_name_is_valid(value, KEY_GROUP_MAX))
		fault(r, "a group is 1 to %d of A-Z a-z 0-9 . _ -", KEY_GROUP_MAX);
	else
		memcpy(key->group, value.data, value.n);
}

static void read_attribute(struct reader *r, struct slice word, struct key *key)
{
	const char *equals = memchr(word.data, '=', word.n);
	struct slice name = {word.data, equals ? (size_t)(equals - word.data) : word.n};
	struct slice value = {equals ? equals + 1 : NULL, equals ? word.n - name.n - 1 : 0};
	if (equals && slice_is(name, "group"))
		read_group(r, value, key);
	else if (equals && slice_is(name, "created"))
		read_time(r, "created", value, &key->created);
	else if (equals && slice_is(name, "expires"))
		read_time(r, "expires", value, &key->expires);
	else if (equals && slice_is(name, "revoked"))
		read_time(r, "revoked", value, &key->revoked);
	else
		fault(r, "after the sum only group= created= expires= revoked= may follow");
}

static void add_key(struct reader *r, const struct key *key)
{
	struct keyring *ring = r->ring;
	if (ring->n == KEYS_MAX) {
		fault(r, "more than %zu keys", KEYS_MAX);
		return;
	}
	if (ring->n == ring->capacity) {
		ring->capacity = ring->capacity ? ring->capacity * 2 : 16;
		ring->keys = xrealloc(ring->keys, ring->capacity * sizeof(*ring->keys));
	}
	ring->keys[ring->n++] = *key;
}

static void read_line(struct reader *r, struct slice line)
{
	if (line.n > LINE_BYTES_MAX) {
		fault(r, "the line is longer than %d bytes", LINE_BYTES_MAX);
		return;
	}
	struct key key = {.created = KEY_NO_TIME, .expires = KEY_NO_TIME, .revoked = KEY_NO_TIME, .line = r->line};
	struct slice word = take_word(&line);
	if (!word.data)
		return;
	size_t faults = r->faults;
	if (!read_name(r, word, &key) || !read_id(r, take_word(&line), &key) || !read_hash(r, take_word(&line), &key))
		return;
	key.end = (size_t)(line.data - r->begin);
	while (r->faults == faults && (word = take_word(&line)).data) {
		read_attribute(r, word, &key);
		key.end = (size_t)(line.data - r->begin);
	}
	if (r->faults == faults)
		add_key(r, &key);
}

static int compare_ids(const void *a, const void *b)
{
	const struct key *const *left = a, *const *right = b;
	int order = memcmp((*left)->id, (*right)->id, KEY_ID_LENGTH);
	return order ? order : (*left)->line - (*right)->line;
}

static void sort_by_id(struct reader *r)
{
	struct keyring *ring = r->ring;
	ring->by_id = xalloc((ring->n + 1) * sizeof(*ring->by_id));
	for (size_t i = 0; i < ring->n; i++)
		ring->by_id[i] = &ring->keys[i];
	qsort(ring->by_id, ring->n, sizeof(*ring->by_id), compare_ids);
	for (size_t i = 1; i < ring->n; i++) {
		if (memcmp(ring->by_id[i]->id, ring->by_id[i - 1]->id, KEY_ID_LENGTH) != 0)
			continue;
		r->line = ring->by_id[i]->line;
		fault(r, "the id %s is that of line %d", ring->by_id[i]->id, ring->by_id[i - 1]->line);
	}
}

struct keyring *keyring_parse(struct slice text, const char *file, char *why, size_t why_size)
{
	struct reader r = {.file = file, .begin = text.data, .why = why, .why_size = why_size};
	r.ring = xalloc(sizeof(*r.ring));
	if (why_size)
		why[0] = '\0';
	while (text.n) {
		const char *newline = memchr(text.data, '\n', text.n);
		size_t n = newline ? (size_t)(newline - text.data) : text.n;
		r.line++;
		read_line(&r, (struct slice){text.data, n});
		n += newline != NULL;
		text = (struct slice){text.data + n, text.n - n};
	}
	sort_by_id(&r);
	if (!r.faults)
		return r.ring;
	keyring_free(r.ring);
	return NULL;
}

struct keyring *keyring_load(const char *path, char *why, size_t why_size)
{
	size_t n = 0;
	char *text = file_read(path, KEY_FILE_MAX, &n);
	if (!text && errno != ENOENT) {
		(void)snprintf(why, why_size, "%s: %s", path, strerror(errno));
		return NULL;
	}
	struct keyring *ring = keyring_parse((struct slice){text ? text : "", n}, path, why, why_size);
	free(text);
	return ring;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	free(k->keys);
	free(k->by_id);
	free(k);
}

size_t keyring_count(const struct keyring *k)
{
	return k ? k->n : 0;
}

static const struct key *look_up(const struct keyring *k, const char *id)
{
	size_t low = 0, high = keyring_count(k);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(id, k->by_id[middle]->id, KEY_ID_LENGTH);
		if (order == 0)
			return k->by_id[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool is_well_formed(struct slice token)
{
	char check[KEY_CHECK_LENGTH];
	if (token.n != KEY_LENGTH || memcmp(token.data, "sgk_", KEY_ID_AT) != 0 ||
	    token.data[KEY_SECRET_AT - 1] != '_' || token.data[KEY_BODY_LENGTH] != '_')
		return false;
	key_checksum(token.data, check);
	return memcmp(check, token.data + KEY_CHECK_AT, KEY_CHECK_LENGTH) == 0;
}

static struct principal principal_of(const struct key *key)
{
	struct principal p = {.kind = PRINCIPAL_KEY};

	memcpy(p.subject, key->name, sizeof(key->name));
	memcpy(p.group, key->group, sizeof(key->group));
	return p;
}

enum auth_result keyring_find(const struct keyring *k, struct slice token, int64_t now, struct principal *p)
{
	static const struct key nobody;
	if (!token.data || !token.n)
		return AUTH_MISSING;
	if (!is_well_formed(token))
		return AUTH_MALFORMED;
	struct sha256 hash = crypt_sha256(token.data, token.n);
	const struct key *key = look_up(k, token.data + KEY_ID_AT);
	bool is_same = crypt_equal(hash.bytes, (key ? key : &nobody)->hash.bytes, SHA256_BYTES);
	if (!key || !is_same)
		return AUTH_UNKNOWN;
	if (key->revoked != KEY_NO_TIME)
		return AUTH_REVOKED;
	if (now >= key->expires)
		return AUTH_EXPIRED;
	*p = principal_of(key);
	return AUTH_OK;
}

void keyring_each(const struct keyring *k, int64_t now, void (*visit)(const struct principal *p, void *ctx), void *ctx)
{
	for (size_t i = 0; i < keyring_count(k); i++) {
		struct principal p = principal_of(&k->keys[i]);

		if (k->keys[i].revoked == KEY_NO_TIME && now < k->keys[i].expires)
			visit(&p, ctx);
	}
}

int64_t keyring_next_expiry(const struct keyring *k, int64_t now)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < keyring_count(k); i++) {
		const struct key *key = &k->keys[i];

		if (key->revoked == KEY_NO_TIME && key->expires > now && key->expires < next)
			next = key->expires;
	}
	return next;
}
