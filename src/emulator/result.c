/* Rows to JSON partitions. */
#include "result.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "snowgate/json.h"

#define PARTITION_CEILING ((size_t)1 << 30)
#define METADATA_CEILING  ((size_t)64 << 20)
#define GZIP_HEADER       16 /* deflateInit2: 15 bits of window, plus this for gzip's framing */

struct cutter {
	struct result *result;
	struct result_options options;
	struct buf text;
	size_t rows, total; /* of this partition, of all */
	bool too_large;
};

char *text_gzip(const char *text, size_t n, size_t *out_n)
{
	z_stream z = {.next_in = (Bytef *)text, .avail_in = (uInt)n};
	uLong bound;
	char *out;

	if (deflateInit2(&z, 1, Z_DEFLATED, 15 + GZIP_HEADER, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	bound = deflateBound(&z, (uLong)n);
	out = xalloc(bound);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)bound;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort(); /* deflateBound() is enough */
	*out_n = z.total_out;
	deflateEnd(&z);
	return xrealloc(out, *out_n);
}

char *text_gunzip(const char *packed, size_t n, size_t ceiling, size_t *out_n)
{
	z_stream z = {.next_in = (Bytef *)packed, .avail_in = (uInt)n};
	char *out = xalloc(ceiling);
	int status;

	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)ceiling;
	if (inflateInit2(&z, 15 + GZIP_HEADER) != Z_OK)
		abort();
	status = inflate(&z, Z_FINISH);
	*out_n = z.total_out;
	inflateEnd(&z);
	if (status == Z_STREAM_END)
		return out;
	free(out);
	return NULL;
}

static bool is_wrapped(const struct cutter *c)
{
	return c->result->partitions_n && !c->options.bare;
}

static void partition_open(struct cutter *c)
{
	c->text = buf_with_ceiling(PARTITION_CEILING);
	c->rows = 0;
	buf_adds(&c->text, is_wrapped(c) ? "{\"data\":[" : "[");
}

static bool partition_close(struct cutter *c)
{
	struct result *r = c->result;
	struct partition p = {.rows = c->rows};
	size_t n;

	if (!buf_adds(&c->text, is_wrapped(c) ? "]}" : "]"))
		return false;
	p.uncompressed = c->text.n;
	if (r->partitions_n) {
		p.bytes = text_gzip(c->text.data, c->text.n, &p.n);
		buf_free(&c->text);
	} else {
		p.bytes = buf_take(&c->text, &p.n);
	}
	n = r->partitions_n + 1;
	r->partitions = xrealloc(r->partitions, n * sizeof(p));
	r->partitions[r->partitions_n++] = p;
	r->bytes += p.n + sizeof(p);
	return true;
}

static void row_write(struct cutter *c, const struct engine_result *rows, size_t row)
{
	char *const *cells = rows->cells + row * rows->columns_n;

	buf_adds(&c->text, c->rows++ ? ",[" : "[");
	for (size_t i = 0; i < rows->columns_n; i++) {
		if (i)
			buf_addc(&c->text, ',');
		if (cells[i])
			json_write_string(&c->text, cells[i], strlen(cells[i]));
		else
			buf_adds(&c->text, c->options.null_is_text ? "\"null\"" : "null");
	}
	buf_addc(&c->text, ']');
}

void cutter_add(struct cutter *c, const struct engine_result *rows)
{
	for (size_t i = 0; i < rows->rows_n && !c->too_large; i++) {
		if (c->rows && c->text.n >= c->options.partition_bytes) {
			c->too_large = !partition_close(c);
			partition_open(c);
		}
		row_write(c, rows, i);
		c->total++;
	}
}

static void number_or_null(struct buf *b, const char *name, int64_t value)
{
	if (value < 0)
		buf_addf(b, ",\"%s\":null", name);
	else
		buf_addf(b, ",\"%s\":%lld", name, (long long)value);
}

static void column_write(struct buf *b, const struct engine_column *column)
{
	buf_adds(b, "{\"name\":");
	json_write_string(b, column->name, strlen(column->name));
	buf_adds(b, ",\"database\":\"\",\"schema\":\"\",\"table\":\"\",\"type\":");
	json_write_string(b, column->type, strlen(column->type));
	number_or_null(b, "byteLength", column->byte_length);
	number_or_null(b, "length", column->length);
	number_or_null(b, "precision", column->precision);
	number_or_null(b, "scale", column->scale);
	buf_addf(b, ",\"nullable\":%s,\"collation\":null}", column->nullable ? "true" : "false");
}

static bool metadata_write(struct result *r, const struct engine_result *rows, size_t total)
{
	struct buf b = buf_with_ceiling(METADATA_CEILING);
	size_t n;

	buf_addf(&b, "{\"numRows\":%zu,\"format\":\"jsonv2\",\"partitionInfo\":[", total);
	for (size_t i = 0; i < r->partitions_n; i++) {
		const struct partition *p = &r->partitions[i];

		buf_addf(&b, "%s{\"rowCount\":%zu,\"uncompressedSize\":%zu", i ? "," : "", p->rows, p->uncompressed);
		if (i)
			buf_addf(&b, ",\"compressedSize\":%zu", p->n);
		buf_addc(&b, '}');
	}
	buf_adds(&b, "],\"rowType\":[");
	for (size_t i = 0; i < rows->columns_n; i++) {
		if (i)
			buf_addc(&b, ',');
		column_write(&b, &rows->columns[i]);
	}
	buf_adds(&b, "]}");
	r->metadata = buf_take(&b, &n);
	r->bytes += n;
	return r->metadata != NULL;
}

struct cutter *cutter_open(const struct result_options *options)
{
	struct cutter *c = xalloc(sizeof(*c));

	c->result = xalloc(sizeof(*c->result));
	c->result->references = 1;
	c->result->bytes = sizeof(*c->result);
	c->options = *options;
	partition_open(c);
	return c;
}

void cutter_drop(struct cutter *c)
{
	buf_free(&c->text);
	result_release(c->result);
	free(c);
}

struct result *cutter_close(struct cutter *c, const struct engine_result *rows)
{
	struct result *r = c->result;

	cutter_add(c, rows);
	r->has_stats = rows->has_stats;
	r->inserted = rows->inserted;
	r->updated = rows->updated;
	r->deleted = rows->deleted;
	r->duplicates = rows->duplicates;
	if (c->too_large || !partition_close(c) || !metadata_write(r, rows, c->total)) {
		cutter_drop(c);
		return NULL;
	}
	free(c);
	return r;
}

struct result *result_cut(const struct engine_result *rows, const struct result_options *options)
{
	return cutter_close(cutter_open(options), rows);
}

struct result *result_share(struct result *result)
{
	result->references++;
	return result;
}

void result_release(struct result *result)
{
	if (!result || --result->references)
		return;
	for (size_t i = 0; i < result->partitions_n; i++)
		free(result->partitions[i].bytes);
	free(result->partitions);
	free(result->metadata);
	free(result);
}
