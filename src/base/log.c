/* Log lines: composed and escaped by the caller into a bounded ring without locks, written by the LOG thread. */
#include "snowgate/log.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "snowgate/mail.h"
#include "snowgate/wheel.h"

enum { LINE_MAX_BYTES = 8192, LINE_TAIL = 32, TEXT_MAX_BYTES = 6144, RING_MIN = 65536, BATCH_BYTES = 65536 };

/* A ring of bytes with many writers and one reader. A writer claims a stretch by moving `head`, fills it, and then
 * makes it visible by storing its length in the word it begins with. The reader zeroes what it has read before it moves
 * `tail`, so that an unfinished stretch always reads as length 0. Positions only grow; size is a power of two. */
struct ring {
	_Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t tail;
	_Atomic bool asleep, stopping;
	_Alignas(64) size_t size;
	int fd;
	pthread_t thread;
	char batch[BATCH_BYTES]; /* the LOG thread's */
	_Alignas(8) char bytes[];
};
enum { HEADER = 8 }; /* the length word, padded so that all stay aligned */

static struct ring *_Atomic ring; /* set and unset by MAIN */
static _Atomic int level_min = LOG_INFO;
static _Atomic uint64_t dropped, dropped_untold;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (name && !strcmp(name, level_names[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/* Composing a line. */

struct line {
	size_t n;
	bool cut;
	char text[LINE_MAX_BYTES];
};

static bool put(struct line *line, const char *text, size_t n)
{
	if (n > sizeof(line->text) - LINE_TAIL - line->n) {
		line->cut = true;
		return false;
	}
	memcpy(line->text + line->n, text, n);
	line->n += n;
	return true;
}

/* The bytes that stand for the character at `text`, whose sequence is `length` long (0: not UTF-8). Control characters
 * of both kinds are escaped, since somebody will read the log in a terminal. */
static struct slice escaped(const char *text, size_t length, char scratch[8])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t c = (uint8_t)text[0];
	if (length == 0)
		return SLICE("\xEF\xBF\xBD");
	if (c == '"' || c == '\\') {
		scratch[0] = '\\';
		scratch[1] = (char)c;
		return (struct slice){scratch, 2};
	}
	bool is_c1 = length == 2 && c == 0xC2 && (uint8_t)text[1] < 0xA0;
	if (c >= 0x20 && c != 0x7F && !is_c1)
		return (struct slice){text, length};
	uint8_t code = is_c1 ? (uint8_t)text[1] : c;
	memcpy(scratch, "\\u00", 4);
	scratch[4] = digits[code >> 4];
	scratch[5] = digits[code & 15];
	return (struct slice){scratch, 6};
}

static void put_text(struct line *line, const char *text)
{
	size_t n = strlen(text), end = line->n + TEXT_MAX_BYTES;
	bool ok = put(line, "\"", 1);
	char scratch[8];
	for (size_t at = 0; ok && at < n;) {
		size_t length = utf8_sequence(text + at, n - at);
		struct slice unit = escaped(text + at, length, scratch);
		/* two bytes are kept for the closing quote and the comma or brace */
		ok = line->n + unit.n <= end && line->n + unit.n + 2 <= sizeof(line->text) - LINE_TAIL &&
		     put(line, unit.data, unit.n);
		at += length ? length : 1;
	}
	line->cut |= !ok;
	(void)put(line, "\"", 1);
}

static void put_number(struct line *line, int64_t number)
{
	char digits[24], *p = digits + sizeof(digits);
	uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--p = '-';
	(void)put(line, p, (size_t)(digits + sizeof(digits) - p));
}

static void put_field(struct line *line, const struct log_field *field)
{
	if (field->kind == LOG_TEXT && !field->text)
		return;
	/* a member that does not begin is left out whole; 64: its number or a few characters of its text */
	if (line->n + strlen(field->key) + 64 > sizeof(line->text) - LINE_TAIL) {
		line->cut = true;
		return;
	}
	(void)put(line, ",", 1);
	put_text(line, field->key);
	(void)put(line, ":", 1);
	if (field->kind == LOG_TEXT)
		put_text(line, field->text);
	else if (field->kind == LOG_NUMBER)
		put_number(line, field->number);
	else
		(void)(field->number ? put(line, "true", 4) : put(line, "false", 5));
}

static void compose(struct line *line, enum log_level level, const char *event, uint64_t untold, size_t n,
		    const struct log_field *fields)
{
	static const char tail_cut[] = ",\"cut\":true}\n", tail[] = "}\n";
	char ts[CLOCK_TEXT_SIZE];
	clock_text(clock_wall_usec(), true, ts);
	line->n = 0;
	line->cut = false;
	(void)put(line, "{\"ts\":", 6);
	put_text(line, ts);
	(void)put(line, ",\"level\":", 9);
	put_text(line, level_names[level]);
	(void)put(line, ",\"event\":", 9);
	put_text(line, event);
	if (untold)
		put_field(line, &log_number("dropped", untold));
	for (size_t i = 0; i < n; i++)
		put_field(line, &fields[i]);
	const char *end = line->cut ? tail_cut : tail;
	size_t length = strlen(end);
	memcpy(line->text + line->n, end, length); /* LINE_TAIL holds it */
	line->n += length;
}

/* The ring. */

static _Atomic uint32_t *length_at(struct ring *r, uint64_t position)
{
	return (_Atomic uint32_t *)(void *)(r->bytes + (position & (r->size - 1)));
}

static uint64_t stretch(size_t n)
{
	return HEADER + (n + 7) / 8 * 8;
}

static bool ring_add(struct ring *r, const char *text, size_t n)
{
	uint64_t need = stretch(n);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	do {
		if (head + need - tail > r->size)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&r->head, &head, head + need, memory_order_relaxed,
							memory_order_relaxed));
	size_t at = (head + HEADER) & (r->size - 1);
	size_t first = n < r->size - at ? n : r->size - at;
	memcpy(r->bytes + at, text, first);
	memcpy(r->bytes, text + first, n - first);
	/* Sequentially consistent, as is the reader's "asleep, then look again": one of the two sees the other. */
	atomic_store(length_at(r, head), (uint32_t)n);
	if (atomic_load(&r->asleep) && atomic_exchange(&r->asleep, false))
		mail_ring(THREAD_LOG);
	return true;
}

/* Moves one line to `out`; 0 when there is none, or no room for it. */
static size_t ring_take(struct ring *r, char *out, size_t room)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t n = atomic_load(length_at(r, tail));
	if (!n || n > room)
		return 0;
	size_t at = (tail + HEADER) & (r->size - 1);
	size_t first = n < r->size - at ? n : r->size - at;
	memcpy(out, r->bytes + at, first);
	memcpy(out + first, r->bytes, n - first);
	atomic_store_explicit(length_at(r, tail), 0, memory_order_relaxed);
	memset(r->bytes + at, 0, first);
	memset(r->bytes, 0, n - first);
	atomic_store_explicit(&r->tail, tail + stretch(n), memory_order_release);
	return n;
}

/* All of it, also where standard error does not block; what cannot be written is lost. */
static void write_all(int fd, const char *data, size_t n)
{
	while (n) {
		ssize_t written = write(fd, data, n);
		if (written > 0) {
			data += written;
			n -= (size_t)written;
		} else if (written < 0 && errno == EAGAIN) {
			struct pollfd writable = {.fd = fd, .events = POLLOUT};
			(void)poll(&writable, 1, 1000);
		} else if (!(written < 0 && errno == EINTR)) {
			return;
		}
	}
}

static bool write_batch(struct ring *r)
{
	size_t n = 0, taken;
	while ((taken = ring_take(r, r->batch + n, sizeof(r->batch) - n)))
		n += taken;
	write_all(r->fd, r->batch, n);
	return n > 0;
}

static void run_log(void *arg)
{
	struct ring *r = arg;
	for (;;) {
		(void)mail_deliver(THREAD_LOG);
		if (write_batch(r))
			continue;
		bool stopping = atomic_load(&r->stopping);
		atomic_store(&r->asleep, true);
		if (atomic_load(length_at(r, r->tail))) {
			atomic_store(&r->asleep, false);
			continue;
		}
		if (stopping)
			break;
		(void)mail_wait(THREAD_LOG, -1);
		atomic_store(&r->asleep, false);
	}
}

void log_start(int fd, size_t ring_bytes)
{
	assert(!atomic_load(&ring));
	size_t size = RING_MIN;
	while (size < ring_bytes && size < (size_t)1 << 30)
		size *= 2;
	struct ring *r = aligned_alloc(64, (sizeof(*r) + size + 63) / 64 * 64);
	if (!r)
		abort();
	memset(r, 0, sizeof(*r) + size);
	r->size = size;
	r->fd = fd;
	thread_start(THREAD_LOG, run_log, r, &r->thread);
	atomic_store(&ring, r);
}

void log_stop(void)
{
	struct ring *r = atomic_exchange(&ring, NULL);
	if (!r)
		return;
	atomic_store(&r->stopping, true);
	mail_ring(THREAD_LOG);
	thread_join(r->thread);
	free(r);
}

void log_fields(enum log_level level, const char *event, size_t n, const struct log_field *fields)
{
	if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
		return;
	struct line line;
	struct ring *r = atomic_load_explicit(&ring, memory_order_acquire);
	uint64_t untold = r ? atomic_exchange_explicit(&dropped_untold, 0, memory_order_relaxed) : 0;
	compose(&line, level, event, untold, n, fields);
	if (!r) {
		write_all(STDERR_FILENO, line.text, line.n);
	} else if (!ring_add(r, line.text, line.n)) {
		atomic_fetch_add_explicit(&dropped_untold, untold + 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	}
}
