/* Turns days and seconds since 1970 into ISO 8601 text. */
#include <string.h>

#include "epoch.h"

#define SECONDS_PER_DAY 86400
#define TEXT_MAX        32     /* "-62167219200.123456789" is 21 */
#define DAYS_TO_1970    719468 /* from 0000-03-01 of the proleptic Gregorian calendar */
#define DAYS_PER_ERA    146097 /* 400 years */

struct moment {
	int64_t seconds; /* rounded down */
	int nanos;       /* 0 to 999999999, forward */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* [-]digits without leading zeros, at most 15 of them; steps behind. */
static bool whole_read(const char **at, const char *end, int64_t *value)
{
	const char *p = *at;

	if (p == end || !is_digit(*p) || (*p == '0' && p + 1 < end && is_digit(p[1])))
		return false;
	for (*value = 0; p < end && is_digit(*p); p++) {
		if (p - *at == 15)
			return false;
		*value = *value * 10 + (*p - '0');
	}
	*at = p;
	return true;
}

/* .digits, one to nine, as nanoseconds. */
static bool fraction_read(const char **at, const char *end, int *nanos)
{
	const char *p = *at + 1;
	int digits = 0;

	*nanos = 0;
	for (; p < end && is_digit(*p) && digits < 9; p++, digits++)
		*nanos = *nanos * 10 + (*p - '0');
	for (int i = digits; i < 9; i++)
		*nanos *= 10;
	*at = p;
	return digits > 0 && (p == end || !is_digit(*p));
}

/* One decimal number: the sign is the fraction's too, so -1.5 is half a second before -1. */
static bool moment_read(const char **at, const char *end, struct moment *m)
{
	bool negative = *at < end && **at == '-';

	*at += negative;
	m->nanos = 0;
	if (!whole_read(at, end, &m->seconds))
		return false;
	if (*at < end && **at == '.' && !fraction_read(at, end, &m->nanos))
		return false;
	if (negative) {
		m->seconds = -m->seconds - (m->nanos > 0);
		m->nanos = m->nanos ? 1000000000 - m->nanos : 0;
	}
	return true;
}

/* Days since 1970-01-01 to year, month, day (proleptic Gregorian). The year starts in March here, which puts the leap
 * day at its end; day 153 m / 5 is the start of its month m. */
static bool date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + DAYS_TO_1970;
	int64_t era = (z >= 0 ? z : z - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
	int64_t doe = z - era * DAYS_PER_ERA;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;
	int64_t y = yoe + era * 400 + (m >= 10);

	if (y < 0 || y > 9999)
		return false;
	*year = (int)y;
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*day = (int)(doy - (153 * m + 2) / 5 + 1);
	return true;
}

/* `digits` of them, with leading zeros. */
static char *number_write(char *out, int value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + digits;
}

static char *three_write(char *out, int a, int b, int c, int digits, char sign)
{
	out = number_write(out, a, digits);
	*out++ = sign;
	out = number_write(out, b, 2);
	*out++ = sign;
	return number_write(out, c, 2);
}

static size_t date_write(char *out, int64_t days)
{
	int year, month, day;

	if (!date_of(days, &year, &month, &day))
		return 0;
	return (size_t)(three_write(out, year, month, day, 4, '-') - out);
}

/* .123, .123456 or .123456789: as few groups of three as lose nothing. */
static size_t time_write(char *out, int64_t second, int nanos)
{
	char *at = three_write(out, (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60), 2, ':');

	if (nanos) {
		*at++ = '.';
		at = nanos % 1000000 == 0 ? number_write(at, nanos / 1000000, 3)
		     : nanos % 1000 == 0  ? number_write(at, nanos / 1000, 6)
					  : number_write(at, nanos, 9);
	}
	return (size_t)(at - out);
}

static size_t moment_write(char out[EPOCH_TEXT_MAX], struct moment m)
{
	int64_t days = m.seconds / SECONDS_PER_DAY, second = m.seconds % SECONDS_PER_DAY;
	size_t n;

	if (second < 0) {
		second += SECONDS_PER_DAY;
		days--;
	}
	n = date_write(out, days);
	if (!n)
		return 0;
	out[n++] = 'T';
	return n + time_write(out + n, second, m.nanos);
}

/* "seconds offset", the offset in minutes + 1440. */
static size_t zoned_write(const char *at, const char *end, struct moment m, char out[EPOCH_TEXT_MAX])
{
	int64_t offset;
	size_t n;
	int minutes;

	if (at == end || *at++ != ' ' || !whole_read(&at, end, &offset) || at != end || offset > 2880)
		return 0;
	minutes = (int)offset - 1440;
	m.seconds += minutes * 60;
	n = moment_write(out, m);
	if (!n)
		return 0;
	out[n] = minutes < 0 ? '-' : '+';
	number_write(out + n + 1, abs(minutes) / 60, 2);
	out[n + 3] = ':';
	number_write(out + n + 4, abs(minutes) % 60, 2);
	return n + 6;
}

size_t epoch_text(enum column_kind kind, const char *text, size_t n, char out[EPOCH_TEXT_MAX])
{
	const char *at = text, *end = text + n;
	struct moment m;
	size_t written;

	if (n > TEXT_MAX || !moment_read(&at, end, &m))
		return 0;
	if (kind == COLUMN_TIMESTAMP_TZ)
		return zoned_write(at, end, m, out);
	if (at != end)
		return 0;
	if (kind == COLUMN_DATE)
		return memchr(text, '.', n) ? 0 : date_write(out, m.seconds);
	if (kind == COLUMN_TIME)
		return m.seconds < 0 || m.seconds >= SECONDS_PER_DAY ? 0 : time_write(out, m.seconds, m.nanos);
	written = moment_write(out, m);
	if (written && kind == COLUMN_TIMESTAMP_LTZ)
		out[written++] = 'Z';
	return written;
}
