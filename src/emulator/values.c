/* Turns values of DuckDB into the texts and types of Snowflake's SQL API. */
#include "values.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "casts.h"
#include "snowgate/buf.h"

#define CELL_MAX          ((size_t)128 << 20)
#define TEXT_LENGTH_MAX   16777216
#define BINARY_LENGTH_MAX 8388608

static void add_value(struct buf *out, duckdb_vector vector, duckdb_logical_type type, idx_t row, bool nested);

static bool is_valid(duckdb_vector vector, idx_t row)
{
	const uint64_t *mask = duckdb_vector_get_validity(vector);

	return !mask || (mask[row >> 6] >> (row & 63) & 1);
}

static int128 wide(duckdb_hugeint h)
{
	return (int128)(((unsigned __int128)(uint64_t)h.upper << 64) | h.lower);
}

static void add_decimal(struct buf *out, int128 value, int scale)
{
	unsigned __int128 left = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
	char digits[64];
	int n = 0;

	do {
		digits[n++] = (char)('0' + (int)(left % 10));
		left /= 10;
	} while (left);
	while (n <= scale)
		digits[n++] = '0';
	if (value < 0)
		buf_addc(out, '-');
	while (n) {
		if (n == scale)
			buf_addc(out, '.');
		buf_addc(out, digits[--n]);
	}
}

/* The shortest digits that read back as the same number. */
static void add_double(struct buf *out, double value)
{
	char text[40];

	if (isnan(value) || isinf(value)) {
		buf_adds(out, isnan(value) ? "NaN" : value < 0 ? "-inf" : "inf");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof text, "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_adds(out, text);
}

static void add_json_string(struct buf *out, const char *text, size_t n)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < 32)
			buf_addf(out, "\\u%04x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

/* Seconds with nine decimals from a count of `per_second` units. */
static void add_seconds(struct buf *out, int64_t value, int64_t per_second)
{
	int64_t seconds = value / per_second, rest = value % per_second;

	if (rest < 0) {
		rest += per_second;
		seconds--;
	}
	if (seconds < 0 && rest) { /* -0.5 is "-0.500000000", not "-1.500000000" */
		seconds++;
		rest = per_second - rest;
		buf_addf(out, "-%" PRId64 ".%09" PRId64, -seconds, rest * (1000000000 / per_second));
		return;
	}
	buf_addf(out, "%" PRId64 ".%09" PRId64, seconds, rest * (1000000000 / per_second));
}

static void add_civil_date(struct buf *out, int64_t days)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned of_era = (unsigned)(z - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
	unsigned day = of_year - (153 * month + 2) / 5 + 1;

	month = month < 10 ? month + 3 : month - 9;
	buf_addf(out, "%04d-%02u-%02u", (int)(year + era * 400) + (month <= 2), month, day);
}

static void add_civil_time(struct buf *out, int64_t micros)
{
	int64_t day = 86400000000LL, days = micros / day, rest = micros % day;

	if (rest < 0) {
		rest += day;
		days--;
	}
	add_civil_date(out, days);
	buf_addf(out, " %02d:%02d:%02d.%03d", (int)(rest / 3600000000LL), (int)(rest / 60000000 % 60),
		 (int)(rest / 1000000 % 60), (int)(rest / 1000 % 1000));
}

static bool has_alias(duckdb_logical_type type, const char *name)
{
	char *alias = duckdb_logical_type_get_alias(type);
	bool same = alias && !strcmp(alias, name);

	duckdb_free(alias);
	return same;
}

static bool is_json(duckdb_logical_type type)
{
	return has_alias(type, "JSON");
}

/* "seconds offset+1440"; inside of lists and objects as people read it. */
static void add_zoned(struct buf *out, int128 value, bool nested)
{
	int offset;
	int128 ns = zoned_unpack(value, &offset);
	int128 left = ns < 0 ? -ns : ns;

	if (nested) {
		buf_addc(out, '"');
		zoned_show(out, value);
		buf_addc(out, '"');
		return;
	}
	buf_addf(out, "%s%" PRId64 ".%09" PRId64 " %d", ns < 0 ? "-" : "", (int64_t)(left / 1000000000),
		 (int64_t)(left % 1000000000), offset + ZONED_BIAS);
}

static void add_text(struct buf *out, duckdb_string_t *s, duckdb_logical_type type, bool nested)
{
	uint32_t n = s->value.inlined.length;
	const char *text = n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr;

	if (nested && !is_json(type))
		add_json_string(out, text, n);
	else
		buf_add(out, text, n);
}

/* Numbers that DuckDB wrote itself are not in Snowflake's form yet. */
static void add_decfloat(struct buf *out, const duckdb_string_t *s)
{
	uint32_t n = s->value.inlined.length;
	const char *text = n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr;
	char shown[160];

	if (decfloat_normalize(text, n, shown, sizeof shown))
		buf_adds(out, shown);
	else
		buf_add(out, text, n);
}

static void add_blob(struct buf *out, const duckdb_string_t *s)
{
	uint32_t n = s->value.inlined.length;
	const char *bytes = n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr;

	for (uint32_t i = 0; i < n; i++)
		buf_addf(out, "%02X", (unsigned char)bytes[i]);
}

static void add_uuid(struct buf *out, duckdb_hugeint h)
{
	uint64_t high = (uint64_t)h.upper ^ (1ULL << 63);

	buf_addf(out, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
		 (unsigned)(high & 0xffff), (unsigned)(h.lower >> 48),
		 (unsigned long long)(h.lower & 0xffffffffffffULL));
}

static void add_list(struct buf *out, duckdb_vector vector, duckdb_logical_type type, duckdb_list_entry entry)
{
	duckdb_logical_type child = duckdb_list_type_child_type(type);
	duckdb_vector values = duckdb_list_vector_get_child(vector);

	buf_addc(out, '[');
	for (idx_t i = 0; i < entry.length; i++) {
		if (i)
			buf_addc(out, ',');
		add_value(out, values, child, entry.offset + i, true);
	}
	buf_addc(out, ']');
	duckdb_destroy_logical_type(&child);
}

/* A VECTOR: floats with six decimals, whole numbers as they are. */
static void add_array(struct buf *out, duckdb_vector vector, duckdb_logical_type type, idx_t row)
{
	duckdb_logical_type child = duckdb_array_type_child_type(type);
	duckdb_vector values = duckdb_array_vector_get_child(vector);
	idx_t n = duckdb_array_type_array_size(type);

	buf_addc(out, '[');
	for (idx_t i = 0; i < n; i++) {
		buf_adds(out, i ? "," : "");
		if (duckdb_get_type_id(child) == DUCKDB_TYPE_FLOAT)
			buf_addf(out, "%.6f", (double)((float *)duckdb_vector_get_data(values))[row * n + i]);
		else
			add_value(out, values, child, row * n + i, true);
	}
	buf_addc(out, ']');
	duckdb_destroy_logical_type(&child);
}

static void add_struct(struct buf *out, duckdb_vector vector, duckdb_logical_type type, idx_t row)
{
	idx_t n = duckdb_struct_type_child_count(type);

	buf_addc(out, '{');
	for (idx_t i = 0; i < n; i++) {
		duckdb_logical_type child = duckdb_struct_type_child_type(type, i);
		char *name = duckdb_struct_type_child_name(type, i);

		if (i)
			buf_addc(out, ',');
		add_json_string(out, name, strlen(name));
		buf_addc(out, ':');
		add_value(out, duckdb_struct_vector_get_child(vector, i), child, row, true);
		duckdb_free(name);
		duckdb_destroy_logical_type(&child);
	}
	buf_addc(out, '}');
}

static void add_enum(struct buf *out, const void *data, duckdb_logical_type type, idx_t row, bool nested)
{
	duckdb_type internal = duckdb_enum_internal_type(type);
	idx_t k = internal == DUCKDB_TYPE_UTINYINT    ? ((const uint8_t *)data)[row]
		  : internal == DUCKDB_TYPE_USMALLINT ? ((const uint16_t *)data)[row]
						      : ((const uint32_t *)data)[row];
	char *text = duckdb_enum_dictionary_value(type, k);

	if (nested)
		add_json_string(out, text, strlen(text));
	else
		buf_adds(out, text);
	duckdb_free(text);
}

static int128 decimal_at(const void *data, duckdb_logical_type type, idx_t row)
{
	switch (duckdb_decimal_internal_type(type)) {
	case DUCKDB_TYPE_SMALLINT:
		return ((const int16_t *)data)[row];
	case DUCKDB_TYPE_INTEGER:
		return ((const int32_t *)data)[row];
	case DUCKDB_TYPE_BIGINT:
		return ((const int64_t *)data)[row];
	default:
		return wide(((const duckdb_hugeint *)data)[row]);
	}
}

/* True when the value is a whole number, added. */
static bool add_integer(struct buf *out, const void *data, duckdb_type id, idx_t row)
{
	switch (id) {
	case DUCKDB_TYPE_TINYINT:
		buf_addf(out, "%d", ((const int8_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_SMALLINT:
		buf_addf(out, "%d", ((const int16_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_INTEGER:
		buf_addf(out, "%d", ((const int32_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_BIGINT:
		buf_addf(out, "%" PRId64, ((const int64_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_UTINYINT:
		buf_addf(out, "%u", ((const uint8_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_USMALLINT:
		buf_addf(out, "%u", ((const uint16_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_UINTEGER:
		buf_addf(out, "%u", ((const uint32_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_UBIGINT:
		buf_addf(out, "%" PRIu64, ((const uint64_t *)data)[row]);
		return true;
	case DUCKDB_TYPE_HUGEINT:
		add_decimal(out, wide(((const duckdb_hugeint *)data)[row]), 0);
		return true;
	default:
		return false;
	}
}

/* True when the value is a date or a time, added. Inside of lists and objects they are written for people. */
static bool add_temporal(struct buf *out, const void *data, duckdb_type id, idx_t row, bool nested)
{
	int64_t value = id == DUCKDB_TYPE_DATE ? ((const int32_t *)data)[row] : 0;

	switch (id) {
	case DUCKDB_TYPE_DATE:
		break;
	case DUCKDB_TYPE_TIME:
	case DUCKDB_TYPE_TIMESTAMP:
	case DUCKDB_TYPE_TIMESTAMP_TZ:
	case DUCKDB_TYPE_TIMESTAMP_S:
	case DUCKDB_TYPE_TIMESTAMP_MS:
	case DUCKDB_TYPE_TIMESTAMP_NS:
		value = ((const int64_t *)data)[row];
		break;
	default:
		return false;
	}
	if (nested)
		buf_addc(out, '"');
	if (id == DUCKDB_TYPE_DATE && nested)
		add_civil_date(out, value);
	else if (id == DUCKDB_TYPE_DATE)
		buf_addf(out, "%" PRId64, value);
	else if (nested && (id == DUCKDB_TYPE_TIMESTAMP || id == DUCKDB_TYPE_TIMESTAMP_TZ))
		add_civil_time(out, value);
	else
		add_seconds(out, value,
			    id == DUCKDB_TYPE_TIMESTAMP_S    ? 1
			    : id == DUCKDB_TYPE_TIMESTAMP_MS ? 1000
			    : id == DUCKDB_TYPE_TIMESTAMP_NS ? 1000000000
							     : 1000000);
	if (nested)
		buf_addc(out, '"');
	return true;
}

static void add_value(struct buf *out, duckdb_vector vector, duckdb_logical_type type, idx_t row, bool nested)
{
	duckdb_type id = duckdb_get_type_id(type);
	void *data = duckdb_vector_get_data(vector);

	if (!is_valid(vector, row)) {
		buf_adds(out, "null");
		return;
	}
	if (id == DUCKDB_TYPE_HUGEINT && has_alias(type, ZONED_TYPE)) {
		add_zoned(out, wide(((const duckdb_hugeint *)data)[row]), nested);
		return;
	}
	if (add_integer(out, data, id, row) || add_temporal(out, data, id, row, nested))
		return;
	switch (id) {
	case DUCKDB_TYPE_BOOLEAN:
		buf_adds(out, ((bool *)data)[row] ? "true" : "false");
		break;
	case DUCKDB_TYPE_DECIMAL:
		add_decimal(out, decimal_at(data, type, row), duckdb_decimal_scale(type));
		break;
	case DUCKDB_TYPE_FLOAT:
		add_double(out, (double)((float *)data)[row]);
		break;
	case DUCKDB_TYPE_DOUBLE:
		add_double(out, ((double *)data)[row]);
		break;
	case DUCKDB_TYPE_VARCHAR:
		if (has_alias(type, DECFLOAT_TYPE)) {
			add_decfloat(out, &((duckdb_string_t *)data)[row]);
			break;
		}
		add_text(out, &((duckdb_string_t *)data)[row], type, nested);
		break;
	case DUCKDB_TYPE_BLOB:
		add_blob(out, &((duckdb_string_t *)data)[row]);
		break;
	case DUCKDB_TYPE_UUID:
		add_uuid(out, ((duckdb_hugeint *)data)[row]);
		break;
	case DUCKDB_TYPE_ENUM:
		add_enum(out, data, type, row, nested);
		break;
	case DUCKDB_TYPE_LIST:
		add_list(out, vector, type, ((duckdb_list_entry *)data)[row]);
		break;
	case DUCKDB_TYPE_ARRAY:
		add_array(out, vector, type, row);
		break;
	case DUCKDB_TYPE_STRUCT:
		add_struct(out, vector, type, row);
		break;
	default:
		buf_addf(out, "<type %d>", id);
	}
}

char *cell_text(duckdb_vector vector, duckdb_logical_type type, idx_t row)
{
	struct buf out = buf_with_ceiling(CELL_MAX);
	char *text;

	if (!is_valid(vector, row))
		return NULL;
	add_value(&out, vector, type, row, false);
	text = buf_take(&out, NULL);
	return text ? text : xstrdup("");
}

static void set_type(struct engine_column *column, const char *type, int precision, int scale, int64_t length)
{
	column->type = xstrdup(type);
	column->precision = precision;
	column->scale = scale;
	column->length = length;
	column->byte_length = length;
}

/* Types that are described by their name alone or by fixed numbers. */
static const struct {
	duckdb_type id;
	const char *name;
	int precision, scale;
	int64_t length;
} TYPES[] = {
    {DUCKDB_TYPE_BOOLEAN, "boolean", -1, -1, -1},
    {DUCKDB_TYPE_TINYINT, "fixed", 3, 0, -1},
    {DUCKDB_TYPE_UTINYINT, "fixed", 3, 0, -1},
    {DUCKDB_TYPE_SMALLINT, "fixed", 5, 0, -1},
    {DUCKDB_TYPE_USMALLINT, "fixed", 5, 0, -1},
    {DUCKDB_TYPE_INTEGER, "fixed", 10, 0, -1},
    {DUCKDB_TYPE_UINTEGER, "fixed", 10, 0, -1},
    {DUCKDB_TYPE_BIGINT, "fixed", 18, 0, -1},
    {DUCKDB_TYPE_UBIGINT, "fixed", 38, 0, -1},
    {DUCKDB_TYPE_HUGEINT, "fixed", 38, 0, -1},
    {DUCKDB_TYPE_UHUGEINT, "fixed", 38, 0, -1},
    {DUCKDB_TYPE_FLOAT, "real", -1, -1, -1},
    {DUCKDB_TYPE_DOUBLE, "real", -1, -1, -1},
    {DUCKDB_TYPE_DATE, "date", -1, -1, -1},
    {DUCKDB_TYPE_TIME, "time", 0, 9, -1},
    {DUCKDB_TYPE_TIMESTAMP, "timestamp_ntz", 0, 9, -1},
    {DUCKDB_TYPE_TIMESTAMP_S, "timestamp_ntz", 0, 9, -1},
    {DUCKDB_TYPE_TIMESTAMP_MS, "timestamp_ntz", 0, 9, -1},
    {DUCKDB_TYPE_TIMESTAMP_NS, "timestamp_ntz", 0, 9, -1},
    {DUCKDB_TYPE_TIMESTAMP_TZ, "timestamp_ltz", 0, 9, -1},
    {DUCKDB_TYPE_BLOB, "binary", -1, -1, BINARY_LENGTH_MAX},
    {DUCKDB_TYPE_LIST, "array", -1, -1, -1},
    {DUCKDB_TYPE_ARRAY, "vector", -1, -1, -1},
    {DUCKDB_TYPE_STRUCT, "object", -1, -1, -1},
    {DUCKDB_TYPE_MAP, "object", -1, -1, -1},
};

static void describe_type(duckdb_logical_type type, struct engine_column *column)
{
	duckdb_type id = duckdb_get_type_id(type);
	bool json;

	if (id == DUCKDB_TYPE_HUGEINT && has_alias(type, ZONED_TYPE)) {
		set_type(column, "timestamp_tz", 0, 9, -1);
		return;
	}
	if (id == DUCKDB_TYPE_VARCHAR && has_alias(type, DECFLOAT_TYPE)) {
		set_type(column, "decfloat", 38, -1, -1);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
		if (TYPES[i].id != id)
			continue;
		set_type(column, TYPES[i].name, TYPES[i].precision, TYPES[i].scale, TYPES[i].length);
		return;
	}
	json = id == DUCKDB_TYPE_VARCHAR && is_json(type);
	if (id == DUCKDB_TYPE_DECIMAL)
		set_type(column, "fixed", duckdb_decimal_width(type), duckdb_decimal_scale(type), -1);
	else
		set_type(column, json ? "variant" : "text", -1, -1, json ? -1 : TEXT_LENGTH_MAX);
}

void describe_column(duckdb_result *result, idx_t i, struct engine_column *column)
{
	duckdb_logical_type type = duckdb_column_logical_type(result, i);

	*column = (struct engine_column){.nullable = true};
	column->name = xstrdup(duckdb_column_name(result, i));
	describe_type(type, column);
	duckdb_destroy_logical_type(&type);
}
