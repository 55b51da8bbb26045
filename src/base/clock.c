/* The clock, real or virtual, and RFC 3339 text without the C library's time zone code, which locks. */
#include "snowgate/wheel.h"

#include <stdatomic.h>
#include <time.h>

/* Set by a test before it starts threads; atomic, since threads read them. */
static atomic_bool virtual_time;
static _Atomic usec_t virtual_now, virtual_wall;

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_S + ts.tv_nsec / 1000;
}

usec_t clock_now(void)
{
	return atomic_load_explicit(&virtual_time, memory_order_relaxed) ? virtual_now : read_clock(CLOCK_MONOTONIC);
}

usec_t clock_wall_usec(void)
{
	return atomic_load_explicit(&virtual_time, memory_order_relaxed) ? virtual_wall : read_clock(CLOCK_REALTIME);
}

int64_t clock_wall(void)
{
	return clock_wall_usec() / USEC_PER_S;
}

void clock_set_virtual(usec_t now, usec_t wall)
{
	virtual_now = now;
	virtual_wall = wall;
	virtual_time = true;
}

void clock_advance(usec_t by)
{
	assert(virtual_time && by >= 0);
	virtual_now += by;
	virtual_wall += by;
}

struct civil {
	int64_t year;
	int month, day;
};

/* Days since 1970-01-01 of the proleptic Gregorian calendar. The year begins in March, so that the leap day is its
 * last; 146097 days make 400 years; day_of_year = (153 m + 2) / 5 gives the months' lengths 31 30 31 30 31 ... */
static int64_t days_of(struct civil c)
{
	int64_t year = c.month <= 2 ? c.year - 1 : c.year;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil civil_of(int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t m = (5 * of_year + 2) / 153;
	int month = (int)(m < 10 ? m + 3 : m - 9);
	return (struct civil){year + era * 400 + (month <= 2), month, (int)(of_year - (153 * m + 2) / 5 + 1)};
}

static char *put_digits(char *p, int64_t value, int width)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + width;
}

/* 0000-01-01 and the last microsecond of 9999: outside of them RFC 3339 has no text. */
#define WALL_MIN (-62167219200 * USEC_PER_S)
#define WALL_MAX (253402300800 * USEC_PER_S - 1)

void clock_text(usec_t wall, bool with_usec, char out[CLOCK_TEXT_SIZE])
{
	wall = wall < WALL_MIN ? WALL_MIN : wall > WALL_MAX ? WALL_MAX : wall;
	usec_t of_day = (wall % (86400 * USEC_PER_S) + 86400 * USEC_PER_S) % (86400 * USEC_PER_S);
	struct civil date = civil_of((wall - of_day) / (86400 * USEC_PER_S));
	int64_t second = of_day / USEC_PER_S;
	char *p = put_digits(out, date.year, 4);
	*p++ = '-';
	p = put_digits(p, date.month, 2);
	*p++ = '-';
	p = put_digits(p, date.day, 2);
	*p++ = 'T';
	p = put_digits(p, second / 3600, 2);
	*p++ = ':';
	p = put_digits(p, second / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, second % 60, 2);
	if (with_usec) {
		*p++ = '.';
		p = put_digits(p, of_day % USEC_PER_S, 6);
	}
	*p++ = 'Z';
	*p = '\0';
}

/* Takes `width` digits off the front; -1 when they are not there. */
static int take_digits(struct slice *s, int width)
{
	int value = 0;
	for (int i = 0; i < width; i++) {
		if (!s->n || s->data[0] < '0' || s->data[0] > '9')
			return -1;
		value = value * 10 + (s->data[0] - '0');
		s->data++, s->n--;
	}
	return value;
}

static bool take_char(struct slice *s, char c, char other)
{
	if (!s->n || (s->data[0] != c && s->data[0] != other))
		return false;
	s->data++, s->n--;
	return true;
}

static bool take_date(struct slice *s, int64_t *days)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = take_digits(s, 4);
	if (year < 0 || !take_char(s, '-', '-'))
		return false;
	int month = take_digits(s, 2);
	if (month < 1 || month > 12 || !take_char(s, '-', '-'))
		return false;
	int day = take_digits(s, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day < 1 || day > lengths[month - 1] - (month == 2 && !leap))
		return false;
	*days = days_of((struct civil){year, month, day});
	return true;
}

static bool take_time(struct slice *s, usec_t *of_day)
{
	int hour = take_digits(s, 2);
	if (hour < 0 || hour > 23 || !take_char(s, ':', ':'))
		return false;
	int minute = take_digits(s, 2);
	if (minute < 0 || minute > 59 || !take_char(s, ':', ':'))
		return false;
	int second = take_digits(s, 2);
	if (second < 0 || second > 60)
		return false;
	*of_day = (hour * 3600 + minute * 60 + second) * USEC_PER_S;
	if (!take_char(s, '.', '.'))
		return true;
	int digit = take_digits(s, 1);
	if (digit < 0)
		return false;
	for (usec_t unit = USEC_PER_S / 10; digit >= 0; unit /= 10, digit = take_digits(s, 1))
		*of_day += digit * unit;
	return true;
}

static bool take_offset(struct slice *s, usec_t *offset)
{
	*offset = 0;
	if (take_char(s, 'Z', 'z'))
		return true;
	bool behind = s->n && s->data[0] == '-';
	if (!take_char(s, '+', '-'))
		return false;
	int hour = take_digits(s, 2);
	if (hour < 0 || hour > 23 || !take_char(s, ':', ':'))
		return false;
	int minute = take_digits(s, 2);
	if (minute < 0 || minute > 59)
		return false;
	*offset = (hour * 3600 + minute * 60) * USEC_PER_S * (behind ? -1 : 1);
	return true;
}

bool clock_parse(struct slice text, usec_t *out)
{
	int64_t days;
	usec_t of_day, offset;
	if (!text.data || !take_date(&text, &days) || !take_char(&text, 'T', 't') || !take_time(&text, &of_day) ||
	    !take_offset(&text, &offset) || text.n)
		return false;
	*out = days * 86400 * USEC_PER_S + of_day - offset;
	return true;
}
