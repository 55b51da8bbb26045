/* SQL functions in C, one overload per combination of types, called by the macros and the rewriter. */
#include "natives.h"

#include <stddef.h>
#include "casts.h"
#include "snowgate/base.h"

#define USEC_PER_DAY    86400000000LL
#define NSEC_PER_MINUTE 60000000000LL
#define ZONED           ((duckdb_type)200) /* _SF_TZ, among the types of DuckDB's own */
#define DECIMAL_DIGITS  38
#define DECIMAL_SCALE   8 /* operands with decimals meet here; results of whole numbers have 6 */
#define WHOLE_SCALE     6

static int128 wide(duckdb_hugeint h)
{
	return (int128)(((unsigned __int128)(uint64_t)h.upper << 64) | h.lower);
}

static void set_wide(duckdb_hugeint *out, int128 value)
{
	out->lower = (uint64_t)(unsigned __int128)value;
	out->upper = (int64_t)(value >> 64);
}

static bool row_is_valid(duckdb_vector vector, idx_t row)
{
	const uint64_t *mask = duckdb_vector_get_validity(vector);

	return !mask || (mask[row >> 6] >> (row & 63) & 1);
}

static void set_null(duckdb_vector vector, idx_t row)
{
	duckdb_vector_ensure_validity_writable(vector);
	duckdb_vector_get_validity(vector)[row >> 6] &= ~(1ULL << (row & 63));
}

/* ---- division ---- */

/* a * 10^digits / b, rounded half away from zero; false when it does not fit 38 digits. */
static bool divide_scaled(int128 a, int128 b, int digits, int128 *out)
{
	int128 limit = 1, quotient = a / b, rest = a % b;

	for (int i = 0; i < DECIMAL_DIGITS; i++)
		limit *= 10;
	for (int i = 0; i < digits; i++) {
		int128 digit = 0, magnitude = rest < 0 ? -rest : rest, divisor = b < 0 ? -b : b;
		bool negative = (rest < 0) != (b < 0);

		/* ten times the rest may pass 127 bits: add it ten times instead, taking out the divisor */
		int128 sum = 0;
		for (int k = 0; k < 10; k++) {
			if (sum >= divisor - magnitude) {
				sum -= divisor - magnitude;
				digit++;
			} else {
				sum += magnitude;
			}
		}
		if (quotient > limit / 10 || quotient < -limit / 10)
			return false;
		quotient = quotient * 10 + (negative ? -digit : digit);
		rest = (rest < 0) ? -sum : sum;
	}
	{
		int128 magnitude = rest < 0 ? -rest : rest, divisor = b < 0 ? -b : b;

		if (magnitude >= divisor - magnitude)
			quotient += (rest < 0) != (b < 0) ? -1 : 1;
	}
	*out = quotient;
	return quotient < limit && quotient > -limit;
}

static void divide_decimals(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	int digits = (int)(intptr_t)duckdb_scalar_function_get_extra_info(info);
	duckdb_vector left = duckdb_data_chunk_get_vector(input, 0), right = duckdb_data_chunk_get_vector(input, 1);
	const duckdb_hugeint *a = duckdb_vector_get_data(left), *b = duckdb_vector_get_data(right);
	duckdb_hugeint *out = duckdb_vector_get_data(output);
	idx_t n = duckdb_data_chunk_get_size(input);

	for (idx_t i = 0; i < n; i++) {
		int128 quotient;

		if (!row_is_valid(left, i) || !row_is_valid(right, i)) {
			set_null(output, i);
			continue;
		}
		if (!wide(b[i])) {
			duckdb_scalar_function_set_error(info, "Division by zero");
			return;
		}
		if (!divide_scaled(wide(a[i]), wide(b[i]), digits, &quotient)) {
			duckdb_scalar_function_set_error(info, "Number out of representable range");
			return;
		}
		set_wide(&out[i], quotient);
	}
}

static void divide_doubles(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	duckdb_vector left = duckdb_data_chunk_get_vector(input, 0), right = duckdb_data_chunk_get_vector(input, 1);
	const double *a = duckdb_vector_get_data(left), *b = duckdb_vector_get_data(right);
	double *out = duckdb_vector_get_data(output);
	idx_t n = duckdb_data_chunk_get_size(input);

	for (idx_t i = 0; i < n; i++) {
		if (!row_is_valid(left, i) || !row_is_valid(right, i)) {
			set_null(output, i);
			continue;
		}
		if (b[i] == 0) {
			duckdb_scalar_function_set_error(info, "Division by zero");
			return;
		}
		out[i] = a[i] / b[i];
	}
}

/* ---- dates ---- */

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int month_days(int64_t year, int month)
{
	static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && (year % 4 == 0 && (year % 100 || year % 400 == 0)) ? 29 : DAYS[month - 1];
}

/* The 31st of January and one month is the last of February. */
static int64_t add_months(int64_t days, int64_t months)
{
	int64_t year, total;
	int month, day;

	civil_from_days(days, &year, &month, &day);
	total = year * 12 + (month - 1) + months;
	year = total >= 0 ? total / 12 : -((11 - total) / 12);
	month = (int)(total - year * 12) + 1;
	if (day > month_days(year, month))
		day = month_days(year, month);
	return days_from_civil(year, month, day);
}

enum shift { SHIFT_MONTHS, SHIFT_DAYS, SHIFT_MICROS };

static int64_t shift_micros(enum shift shift, int64_t amount, int64_t micros)
{
	int64_t days = micros / USEC_PER_DAY, rest = micros % USEC_PER_DAY;

	if (shift == SHIFT_MICROS)
		return micros + amount;
	if (rest < 0) {
		rest += USEC_PER_DAY;
		days--;
	}
	return (shift == SHIFT_DAYS ? days + amount : add_months(days, amount)) * USEC_PER_DAY + rest;
}

/* Extra info: the shift, plus 16 for a DATE that stays one. */
static void add_to_date(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	int kind = (int)(intptr_t)duckdb_scalar_function_get_extra_info(info);
	enum shift shift = (enum shift)(kind & 15);
	duckdb_vector amounts = duckdb_data_chunk_get_vector(input, 0), dates = duckdb_data_chunk_get_vector(input, 1);
	const int64_t *amount = duckdb_vector_get_data(amounts);
	idx_t n = duckdb_data_chunk_get_size(input);

	for (idx_t i = 0; i < n; i++) {
		bool valid = row_is_valid(amounts, i) && row_is_valid(dates, i);
		int64_t limit = shift == SHIFT_MICROS ? INT64_MAX / 4 : 4000000;

		if (!valid) {
			set_null(output, i);
		} else if (amount[i] > limit || amount[i] < -limit) {
			duckdb_scalar_function_set_error(info, "Date out of representable range");
			return;
		} else if (kind & 16) {
			int64_t days = ((const int32_t *)duckdb_vector_get_data(dates))[i];

			((int32_t *)duckdb_vector_get_data(output))[i] =
			    (int32_t)(shift == SHIFT_DAYS ? days + amount[i] : add_months(days, amount[i]));
		} else {
			((int64_t *)duckdb_vector_get_data(output))[i] =
			    shift_micros(shift, amount[i], ((const int64_t *)duckdb_vector_get_data(dates))[i]);
		}
	}
}

/* A TIMESTAMP_TZ moves by its local time and keeps its offset. */
static void add_to_zoned(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	enum shift shift = (enum shift)(intptr_t)duckdb_scalar_function_get_extra_info(info);
	duckdb_vector amounts = duckdb_data_chunk_get_vector(input, 0),
		      moments = duckdb_data_chunk_get_vector(input, 1);
	const int64_t *amount = duckdb_vector_get_data(amounts);
	const duckdb_hugeint *moment = duckdb_vector_get_data(moments);
	idx_t n = duckdb_data_chunk_get_size(input);

	for (idx_t i = 0; i < n; i++) {
		int64_t limit = shift == SHIFT_MICROS ? INT64_MAX / 4 : 4000000;
		int offset;
		int128 local, micros;

		if (!row_is_valid(amounts, i) || !row_is_valid(moments, i)) {
			set_null(output, i);
			continue;
		}
		if (amount[i] > limit || amount[i] < -limit) {
			duckdb_scalar_function_set_error(info, "Date out of representable range");
			return;
		}
		local = zoned_unpack(wide(moment[i]), &offset);
		local += (int128)offset * NSEC_PER_MINUTE;
		micros = local / 1000 - (local % 1000 < 0);
		local = local - micros * 1000 + (int128)shift_micros(shift, amount[i], (int64_t)micros) * 1000;
		set_wide(&((duckdb_hugeint *)duckdb_vector_get_data(output))[i],
			 zoned_pack(local - (int128)offset * NSEC_PER_MINUTE, offset));
	}
}

/* The local time of the second value with the offset of the first. */
static void same_offset(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	duckdb_vector first = duckdb_data_chunk_get_vector(input, 0), second = duckdb_data_chunk_get_vector(input, 1);
	const duckdb_hugeint *moment = duckdb_vector_get_data(first);
	const int64_t *micros = duckdb_vector_get_data(second);
	idx_t n = duckdb_data_chunk_get_size(input);

	(void)info;
	for (idx_t i = 0; i < n; i++) {
		int offset;

		if (!row_is_valid(first, i) || !row_is_valid(second, i)) {
			set_null(output, i);
			continue;
		}
		zoned_unpack(wide(moment[i]), &offset);
		set_wide(&((duckdb_hugeint *)duckdb_vector_get_data(output))[i],
			 zoned_pack((int128)micros[i] * 1000 - (int128)offset * NSEC_PER_MINUTE, offset));
	}
}

/* The second value in the type of the first: DATE_TRUNC of a DATE is a DATE. */
static void same_type(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	bool date = duckdb_scalar_function_get_extra_info(info) != NULL;
	duckdb_vector first = duckdb_data_chunk_get_vector(input, 0), second = duckdb_data_chunk_get_vector(input, 1);
	const int64_t *moments = duckdb_vector_get_data(second);
	idx_t n = duckdb_data_chunk_get_size(input);

	for (idx_t i = 0; i < n; i++) {
		if (!row_is_valid(first, i) || !row_is_valid(second, i))
			set_null(output, i);
		else if (date)
			((int32_t *)duckdb_vector_get_data(output))[i] =
			    (int32_t)(moments[i] / USEC_PER_DAY - (moments[i] % USEC_PER_DAY < 0));
		else
			((int64_t *)duckdb_vector_get_data(output))[i] = moments[i];
	}
}

/* ---- registration ---- */

struct overload {
	duckdb_type left, right, result;
	int result_scale;
	duckdb_scalar_function_f *function;
	int info;
};

static duckdb_logical_type make_type(duckdb_type id, int scale)
{
	if (id == ZONED) {
		duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_HUGEINT);

		duckdb_logical_type_set_alias(type, ZONED_TYPE);
		return type;
	}
	return id == DUCKDB_TYPE_DECIMAL ? duckdb_create_decimal_type(DECIMAL_DIGITS, (uint8_t)scale)
					 : duckdb_create_logical_type(id);
}

static void add_overload(duckdb_scalar_function_set set, const char *name, const struct overload *o)
{
	duckdb_scalar_function function = duckdb_create_scalar_function();
	duckdb_logical_type left = make_type(o->left, DECIMAL_SCALE), right = make_type(o->right, DECIMAL_SCALE);
	duckdb_logical_type result = make_type(o->result, o->result_scale);

	duckdb_scalar_function_set_name(function, name);
	duckdb_scalar_function_add_parameter(function, left);
	duckdb_scalar_function_add_parameter(function, right);
	duckdb_scalar_function_set_return_type(function, result);
	duckdb_scalar_function_set_extra_info(function, (void *)(intptr_t)o->info, NULL);
	duckdb_scalar_function_set_function(function, *o->function);
	duckdb_add_scalar_function_to_set(set, function);
	duckdb_destroy_scalar_function(&function);
	duckdb_destroy_logical_type(&left);
	duckdb_destroy_logical_type(&right);
	duckdb_destroy_logical_type(&result);
}

static bool register_set(duckdb_connection connection, const char *name, const struct overload *overloads, size_t n)
{
	duckdb_scalar_function_set set = duckdb_create_scalar_function_set(name);
	bool ok;

	for (size_t i = 0; i < n; i++)
		add_overload(set, name, &overloads[i]);
	ok = duckdb_register_scalar_function_set(connection, set) == DUCKDB_SUCCESS;
	duckdb_destroy_scalar_function_set(&set);
	return ok;
}

bool register_natives(duckdb_connection connection)
{
	duckdb_scalar_function_f exact = divide_decimals, floating = divide_doubles, date = add_to_date,
				 same = same_type, zoned = add_to_zoned, offset = same_offset;
	const duckdb_type W = DUCKDB_TYPE_HUGEINT, D = DUCKDB_TYPE_DECIMAL, F = DUCKDB_TYPE_DOUBLE,
			  B = DUCKDB_TYPE_BIGINT;
	const duckdb_type DAY = DUCKDB_TYPE_DATE, NTZ = DUCKDB_TYPE_TIMESTAMP, LTZ = DUCKDB_TYPE_TIMESTAMP_TZ;
	const struct overload divide[] = {
	    {W, W, D, WHOLE_SCALE, &exact, WHOLE_SCALE},
	    {D, D, D, DECIMAL_SCALE, &exact, DECIMAL_SCALE},
	    {W, D, D, DECIMAL_SCALE, &exact, DECIMAL_SCALE + DECIMAL_SCALE},
	    {D, W, D, DECIMAL_SCALE, &exact, 0},
	    {F, F, F, 0, &floating, 0},
	};
	const struct overload keep[] = {
	    {DAY, NTZ, DAY, 0, &same, 1},
	    {NTZ, NTZ, NTZ, 0, &same, 0},
	    {LTZ, LTZ, LTZ, 0, &same, 0},
	    {ZONED, NTZ, ZONED, 0, &offset, 0},
	};
	static const char *const NAMES[] = {"_sf_add_months", "_sf_add_days", "_sf_add_micros"};

	for (int shift = SHIFT_MONTHS; shift <= SHIFT_MICROS; shift++) {
		const struct overload add[] = {
		    {B, NTZ, NTZ, 0, &date, shift},
		    {B, LTZ, LTZ, 0, &date, shift},
		    {B, ZONED, ZONED, 0, &zoned, shift},
		    {B, DAY, DAY, 0, &date, shift | 16},
		};

		if (!register_set(connection, NAMES[shift], add, shift == SHIFT_MICROS ? 3 : 4))
			return false;
	}
	return register_set(connection, "_sf_same", keep, ARRAY_LEN(keep)) &&
	       register_set(connection, "_sf_divide", divide, ARRAY_LEN(divide));
}
