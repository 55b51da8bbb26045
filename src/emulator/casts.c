/* TIMESTAMP_TZ with its offset, DECFLOAT, hexadecimal BINARY, Snowflake's BOOLEAN words and rounding. */
#include "casts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NSEC            1000000000LL
#define USEC_PER_DAY    86400000000LL
#define DECFLOAT_DIGITS 38
#define TEXT_MAX        ((size_t)64 << 20)

static int128 wide(duckdb_hugeint h)
{
	return (int128)(((unsigned __int128)(uint64_t)h.upper << 64) | h.lower);
}

static void set_wide(duckdb_hugeint *out, int128 value)
{
	out->lower = (uint64_t)(unsigned __int128)value;
	out->upper = (int64_t)(value >> 64);
}

static int128 floor_divide(int128 a, int128 b)
{
	return a / b - (a % b < 0);
}

/* ---- TIMESTAMP_TZ ---- */

int128 zoned_pack(int128 nanoseconds, int offset)
{
	return nanoseconds * ZONED_STEP + offset + ZONED_BIAS;
}

int128 zoned_unpack(int128 value, int *offset)
{
	int128 nanoseconds = floor_divide(value, ZONED_STEP);

	*offset = (int)(value - nanoseconds * ZONED_STEP) - ZONED_BIAS;
	return nanoseconds;
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y + era * 400) + (*month <= 2);
}

struct scan {
	const char *at, *end;
};

/* min to max digits; -1 where there are fewer. */
static int scan_digits(struct scan *s, int min, int max)
{
	int value = 0, n = 0;

	for (; n < max && s->at < s->end && isdigit((unsigned char)*s->at); n++)
		value = value * 10 + (*s->at++ - '0');
	return n >= min ? value : -1;
}

static bool scan_char(struct scan *s, const char *any)
{
	if (s->at >= s->end || !strchr(any, *s->at))
		return false;
	s->at++;
	return true;
}

static bool scan_clock(struct scan *s, int64_t *nanoseconds)
{
	int hour = scan_digits(s, 1, 2), minute, second = 0;
	int64_t fraction = 0, place = NSEC / 10;

	if (hour < 0 || !scan_char(s, ":"))
		return false;
	minute = scan_digits(s, 1, 2);
	if (scan_char(s, ":"))
		second = scan_digits(s, 1, 2);
	if (second >= 0 && scan_char(s, "."))
		for (; s->at < s->end && isdigit((unsigned char)*s->at); s->at++, place /= 10)
			fraction += place * (*s->at - '0');
	*nanoseconds = ((hour * 60LL + minute) * 60 + second) * NSEC + fraction;
	return hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60;
}

static bool scan_offset(struct scan *s, int *offset)
{
	int hours, minutes = 0, sign;

	while (scan_char(s, " "))
		continue;
	if (s->at == s->end || (scan_char(s, "Zz") && s->at == s->end))
		return true;
	sign = *s->at == '-' ? -1 : 1;
	if (!scan_char(s, "+-") || (hours = scan_digits(s, 1, 2)) < 0)
		return false;
	if (scan_char(s, ":") || s->at < s->end)
		minutes = scan_digits(s, 2, 2);
	*offset = sign * (hours * 60 + minutes);
	return s->at == s->end && minutes >= 0 && minutes < 60 && hours < 24;
}

bool zoned_parse(const char *text, size_t n, int128 *value)
{
	static const int DAYS[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct scan s = {text, text + n};
	int year, month, day, offset = 0;
	int64_t clock = 0;

	while (scan_char(&s, " "))
		continue;
	year = scan_digits(&s, 4, 5);
	month = scan_char(&s, "-") ? scan_digits(&s, 1, 2) : -1;
	day = scan_char(&s, "-") ? scan_digits(&s, 1, 2) : -1;
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > DAYS[month - 1])
		return false;
	if (s.at + 1 < s.end && (*s.at == 'T' || (*s.at == ' ' && isdigit((unsigned char)s.at[1])))) {
		s.at++;
		if (!scan_clock(&s, &clock))
			return false;
	}
	if (!scan_offset(&s, &offset))
		return false;
	*value = zoned_pack(
	    (int128)days_from_civil(year, month, day) * 86400 * NSEC + clock - (int128)offset * 60 * NSEC, offset);
	return true;
}

void zoned_show(struct buf *out, int128 value)
{
	int offset, year, month, day;
	int128 local = zoned_unpack(value, &offset);
	int64_t days, rest;

	local += (int128)offset * 60 * NSEC;
	days = (int64_t)floor_divide(local, 86400 * (int128)NSEC);
	rest = (int64_t)(local - (int128)days * 86400 * NSEC);
	civil_from_days(days, &year, &month, &day);
	buf_addf(out, "%04d-%02d-%02d %02d:%02d:%02d.%09d %c%02d%02d", year, month, day, (int)(rest / (3600 * NSEC)),
		 (int)(rest / (60 * NSEC) % 60), (int)(rest / NSEC % 60), (int)(rest % NSEC), offset < 0 ? '-' : '+',
		 (offset < 0 ? -offset : offset) / 60, (offset < 0 ? -offset : offset) % 60);
}

/* ---- DECFLOAT ---- */

/* The digits without leading and trailing zeros, and the power of ten behind the last of them. */
static bool decfloat_digits(const char *text, size_t n, char *digits, int *count, int *power, bool *negative)
{
	size_t i = 0;
	bool point = false, any = false;
	int64_t exponent = 0;

	*count = *power = 0;
	*negative = n && text[0] == '-';
	for (i = n && (text[0] == '-' || text[0] == '+'); i < n; i++) {
		if (text[i] == '.' && !point) {
			point = true;
		} else if (isdigit((unsigned char)text[i])) {
			any = true;
			*power -= point;
			if (*count < DECFLOAT_DIGITS && (text[i] != '0' || *count))
				digits[(*count)++] = text[i];
			else if (*count == DECFLOAT_DIGITS)
				(*power)++;
		} else {
			break;
		}
	}
	if (any && i < n && (text[i] == 'e' || text[i] == 'E')) {
		struct slice rest = {text + i + 1, n - i - 1};
		char number[16];

		if (rest.n && rest.data[0] == '+')
			rest = (struct slice){rest.data + 1, rest.n - 1};
		snprintf(number, sizeof number, "%.*s", (int)(rest.n < 12 ? rest.n : 12), rest.data);
		if (!parse_int(number, -16384, 16384, &exponent))
			return false;
		i = n;
	}
	*power += (int)exponent;
	for (; *count && digits[*count - 1] == '0'; (*count)--)
		(*power)++;
	return any && i == n;
}

static void decfloat_plain(const char *digits, int count, int power, struct buf *out)
{
	int whole = count + power;

	if (whole <= 0)
		buf_adds(out, "0");
	for (int i = 0; i < whole; i++)
		buf_addc(out, i < count ? digits[i] : '0');
	if (power >= 0)
		return;
	buf_addc(out, '.');
	for (int i = whole; i < count; i++)
		buf_addc(out, i < 0 ? '0' : digits[i]);
}

bool decfloat_normalize(const char *text, size_t n, char *out, size_t size)
{
	struct buf shown = buf_with_ceiling(256);
	char digits[DECFLOAT_DIGITS];
	int count, power;
	bool negative, ok = decfloat_digits(text, n, digits, &count, &power, &negative);

	if (ok && !count) {
		buf_addc(&shown, '0');
	} else if (ok) {
		buf_adds(&shown, negative ? "-" : "");
		if (count + (power > 0 ? power : 0) <= DECFLOAT_DIGITS && count + power > -DECFLOAT_DIGITS &&
		    -power <= DECFLOAT_DIGITS) {
			decfloat_plain(digits, count, power, &shown);
		} else {
			buf_addf(&shown, "%c%s%.*s", digits[0], count > 1 ? "." : "", count - 1, digits + 1);
			buf_addf(&shown, "e%d", power + count - 1);
		}
	}
	snprintf(out, size, "%s", buf_text(&shown));
	buf_free(&shown);
	return ok;
}

/* ---- casts of vectors ---- */

struct cast {
	duckdb_function_info info;
	duckdb_vector output;
	bool failed;
};

typedef void one_f(struct cast *c, const void *input, idx_t row);

static void fail_row(struct cast *c, idx_t row, const char *before, const char *text, size_t n, const char *after)
{
	char message[300];

	snprintf(message, sizeof message, "%s%.*s%s", before, (int)(n < 150 ? n : 150), text, after);
	duckdb_cast_function_set_row_error(c->info, message, row, c->output);
	c->failed = true;
}

static bool cast_each(duckdb_function_info info, idx_t n, duckdb_vector input, duckdb_vector output, one_f *one)
{
	const uint64_t *mask = duckdb_vector_get_validity(input);
	const void *data = duckdb_vector_get_data(input);
	struct cast c = {.info = info, .output = output};

	for (idx_t i = 0; i < n; i++) {
		if (!mask || (mask[i >> 6] >> (i & 63) & 1)) {
			one(&c, data, i);
			continue;
		}
		duckdb_vector_ensure_validity_writable(output);
		duckdb_vector_get_validity(output)[i >> 6] &= ~(1ULL << (i & 63));
	}
	return !c.failed;
}

static struct slice string_at(const void *data, idx_t row)
{
	const duckdb_string_t *s = &((const duckdb_string_t *)data)[row];
	uint32_t n = s->value.inlined.length;

	return (struct slice){n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr, n};
}

static void *slot(struct cast *c)
{
	return duckdb_vector_get_data(c->output);
}

static void put_text(struct cast *c, idx_t row, const char *text, size_t n)
{
	duckdb_vector_assign_string_element_len(c->output, row, text, n);
}

static void text_to_zoned(struct cast *c, const void *input, idx_t row)
{
	struct slice s = string_at(input, row);
	int128 value;

	if (zoned_parse(s.data, s.n, &value))
		set_wide(&((duckdb_hugeint *)slot(c))[row], value);
	else
		fail_row(c, row, "Could not convert timestamp string '", s.data, s.n, "'");
}

static void zoned_to_text(struct cast *c, const void *input, idx_t row)
{
	struct buf text = buf_with_ceiling(128);

	zoned_show(&text, wide(((const duckdb_hugeint *)input)[row]));
	put_text(c, row, buf_text(&text), text.n);
	buf_free(&text);
}

static int64_t zoned_micros(const void *input, idx_t row, bool local)
{
	int offset;
	int128 ns = zoned_unpack(wide(((const duckdb_hugeint *)input)[row]), &offset);

	return (int64_t)floor_divide(ns + (local ? (int128)offset * 60 * NSEC : 0), 1000);
}

static void zoned_to_instant(struct cast *c, const void *input, idx_t row)
{
	((int64_t *)slot(c))[row] = zoned_micros(input, row, false);
}

static void zoned_to_local(struct cast *c, const void *input, idx_t row)
{
	((int64_t *)slot(c))[row] = zoned_micros(input, row, true);
}

static void zoned_to_date(struct cast *c, const void *input, idx_t row)
{
	((int32_t *)slot(c))[row] = (int32_t)floor_divide(zoned_micros(input, row, true), USEC_PER_DAY);
}

static void zoned_to_time(struct cast *c, const void *input, idx_t row)
{
	int64_t micros = zoned_micros(input, row, true);

	((int64_t *)slot(c))[row] = micros - (int64_t)floor_divide(micros, USEC_PER_DAY) * USEC_PER_DAY;
}

static void micros_to_zoned(struct cast *c, const void *input, idx_t row)
{
	set_wide(&((duckdb_hugeint *)slot(c))[row], zoned_pack((int128)((const int64_t *)input)[row] * 1000, 0));
}

static void date_to_zoned(struct cast *c, const void *input, idx_t row)
{
	set_wide(&((duckdb_hugeint *)slot(c))[row],
		 zoned_pack((int128)((const int32_t *)input)[row] * 86400 * NSEC, 0));
}

static void text_to_decfloat(struct cast *c, const void *input, idx_t row)
{
	struct slice s = string_at(input, row);
	char text[160];

	if (decfloat_normalize(s.data, s.n, text, sizeof text))
		put_text(c, row, text, strlen(text));
	else
		fail_row(c, row, "Could not convert string '", s.data, s.n, "' to DECFLOAT");
}

static void decfloat_to_text(struct cast *c, const void *input, idx_t row)
{
	struct slice s = string_at(input, row);

	put_text(c, row, s.data, s.n);
}

static void decfloat_to_double(struct cast *c, const void *input, idx_t row)
{
	struct slice s = string_at(input, row);
	char text[160];

	snprintf(text, sizeof text, "%.*s", (int)s.n, s.data);
	((double *)slot(c))[row] = strtod(text, NULL);
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? toupper((unsigned char)c) - 'A' + 10
					    : -1;
}

static void hex_to_binary(struct cast *c, const void *input, idx_t row)
{
	struct slice s = string_at(input, row);
	char *bytes = xalloc(s.n / 2 + 1);
	size_t i = 0;

	for (; s.n % 2 == 0 && i < s.n; i += 2) {
		int high = hex_digit(s.data[i]), low = hex_digit(s.data[i + 1]);

		if (high < 0 || low < 0)
			break;
		bytes[i / 2] = (char)(high * 16 + low);
	}
	if (s.n % 2 == 0 && i == s.n)
		put_text(c, row, bytes, s.n / 2);
	else
		fail_row(c, row, "The following string is not a legal hex-encoded value: '", s.data, s.n, "'");
	free(bytes);
}

static void binary_to_hex(struct cast *c, const void *input, idx_t row)
{
	static const char DIGITS[] = "0123456789ABCDEF";
	struct slice s = string_at(input, row);
	char *text = xalloc(s.n * 2 + 1);

	for (size_t i = 0; i < s.n; i++) {
		text[2 * i] = DIGITS[(unsigned char)s.data[i] >> 4];
		text[2 * i + 1] = DIGITS[(unsigned char)s.data[i] & 15];
	}
	put_text(c, row, text, s.n * 2);
	free(text);
}

static void text_to_boolean(struct cast *c, const void *input, idx_t row)
{
	static const char *const WORDS[] = {"true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"};
	struct slice s = string_at(input, row);

	for (size_t k = 0; k < ARRAY_LEN(WORDS); k++) {
		if (s.n != strlen(WORDS[k]) || strncasecmp(s.data, WORDS[k], s.n))
			continue;
		((bool *)slot(c))[row] = k < ARRAY_LEN(WORDS) / 2;
		return;
	}
	fail_row(c, row, "Could not convert string '", s.data, s.n, "' to BOOL");
}

/* Half away from zero, where DuckDB rounds half to even. */
static void double_to_whole(struct cast *c, const void *input, idx_t row)
{
	double value = round(((const double *)input)[row]);
	char text[40];

	if (isfinite(value) && fabs(value) < 1e38) {
		set_wide(&((duckdb_hugeint *)slot(c))[row], (int128)value);
		return;
	}
	snprintf(text, sizeof text, "%g", value);
	fail_row(c, row, "Type DOUBLE with value ", text, strlen(text), " is out of range");
}

#define CAST_FUNCTION(one)                                                                                             \
	static bool cast_##one(duckdb_function_info info, idx_t n, duckdb_vector input, duckdb_vector output)          \
	{                                                                                                              \
		return cast_each(info, n, input, output, one);                                                         \
	}
CAST_FUNCTION(text_to_zoned)
CAST_FUNCTION(zoned_to_text)
CAST_FUNCTION(zoned_to_instant)
CAST_FUNCTION(zoned_to_local)
CAST_FUNCTION(zoned_to_date)
CAST_FUNCTION(zoned_to_time)
CAST_FUNCTION(micros_to_zoned)
CAST_FUNCTION(date_to_zoned)
CAST_FUNCTION(text_to_decfloat)
CAST_FUNCTION(decfloat_to_text)
CAST_FUNCTION(decfloat_to_double)
CAST_FUNCTION(hex_to_binary)
CAST_FUNCTION(binary_to_hex)
CAST_FUNCTION(text_to_boolean)
CAST_FUNCTION(double_to_whole)

/* ---- registration ---- */

#define OWN_ZONED    ((duckdb_type)200)
#define OWN_DECFLOAT ((duckdb_type)201)
#define EXPLICIT     (-1) /* only where the statement or an assignment asks for it */

static duckdb_logical_type make_type(duckdb_type id)
{
	duckdb_logical_type type = duckdb_create_logical_type(id == OWN_ZONED      ? DUCKDB_TYPE_HUGEINT
							      : id == OWN_DECFLOAT ? DUCKDB_TYPE_VARCHAR
										   : id);

	if (id == OWN_ZONED || id == OWN_DECFLOAT)
		duckdb_logical_type_set_alias(type, id == OWN_ZONED ? ZONED_TYPE : DECFLOAT_TYPE);
	return type;
}

static bool register_cast(duckdb_connection connection, duckdb_type from, duckdb_type to, int cost, duckdb_cast_f one)
{
	duckdb_cast_function cast = duckdb_create_cast_function();
	duckdb_logical_type source = make_type(from), target = make_type(to);
	bool ok;

	duckdb_cast_function_set_source_type(cast, source);
	duckdb_cast_function_set_target_type(cast, target);
	duckdb_cast_function_set_implicit_cast_cost(cast, cost);
	duckdb_cast_function_set_function(cast, one);
	ok = duckdb_register_cast_function(connection, cast) == DUCKDB_SUCCESS;
	duckdb_destroy_logical_type(&source);
	duckdb_destroy_logical_type(&target);
	duckdb_destroy_cast_function(&cast);
	return ok;
}

bool register_casts(duckdb_connection connection)
{
	const struct {
		duckdb_type from, to;
		int cost;
		duckdb_cast_f one;
	} CASTS[] = {
	    {DUCKDB_TYPE_VARCHAR, OWN_ZONED, EXPLICIT, cast_text_to_zoned},
	    {OWN_ZONED, DUCKDB_TYPE_VARCHAR, EXPLICIT, cast_zoned_to_text},
	    {OWN_ZONED, DUCKDB_TYPE_TIMESTAMP_TZ, 200, cast_zoned_to_instant},
	    {OWN_ZONED, DUCKDB_TYPE_TIMESTAMP, 100, cast_zoned_to_local},
	    {OWN_ZONED, DUCKDB_TYPE_DATE, 300, cast_zoned_to_date},
	    {OWN_ZONED, DUCKDB_TYPE_TIME, EXPLICIT, cast_zoned_to_time},
	    {DUCKDB_TYPE_TIMESTAMP, OWN_ZONED, EXPLICIT, cast_micros_to_zoned},
	    {DUCKDB_TYPE_TIMESTAMP_TZ, OWN_ZONED, EXPLICIT, cast_micros_to_zoned},
	    {DUCKDB_TYPE_DATE, OWN_ZONED, EXPLICIT, cast_date_to_zoned},
	    {DUCKDB_TYPE_VARCHAR, OWN_DECFLOAT, EXPLICIT, cast_text_to_decfloat},
	    {OWN_DECFLOAT, DUCKDB_TYPE_VARCHAR, EXPLICIT, cast_decfloat_to_text},
	    {OWN_DECFLOAT, DUCKDB_TYPE_DOUBLE, 100, cast_decfloat_to_double},
	    {DUCKDB_TYPE_VARCHAR, DUCKDB_TYPE_BLOB, EXPLICIT, cast_hex_to_binary},
	    {DUCKDB_TYPE_BLOB, DUCKDB_TYPE_VARCHAR, EXPLICIT, cast_binary_to_hex},
	    {DUCKDB_TYPE_VARCHAR, DUCKDB_TYPE_BOOLEAN, EXPLICIT, cast_text_to_boolean},
	    {DUCKDB_TYPE_DOUBLE, DUCKDB_TYPE_HUGEINT, EXPLICIT, cast_double_to_whole},
	};
	const duckdb_type OWN[] = {OWN_ZONED, OWN_DECFLOAT};

	for (size_t i = 0; i < ARRAY_LEN(OWN); i++) {
		duckdb_logical_type type = make_type(OWN[i]);
		bool ok = duckdb_register_logical_type(connection, type, NULL) == DUCKDB_SUCCESS;

		duckdb_destroy_logical_type(&type);
		if (!ok)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(CASTS); i++)
		if (!register_cast(connection, CASTS[i].from, CASTS[i].to, CASTS[i].cost, CASTS[i].one))
			return false;
	return true;
}
