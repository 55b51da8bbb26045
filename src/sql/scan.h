/* scan.h
 *
 * Eight bytes at a time. A mask has the high bit of each byte that is looked for; its lowest bit is exact, those above
 * it may be wrong (a borrow), so only the first find counts. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_SCAN_H
#define SNOWGATE_SQL_SCAN_H

#include <string.h>

#include "snowgate/base.h"

#define SCAN_ONES  UINT64_C(0x0101010101010101)
#define SCAN_HIGHS UINT64_C(0x8080808080808080)

/* The first byte in the lowest place, on every machine. */
static inline uint64_t scan_load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline uint64_t scan_zero(uint64_t word)
{
	return (word - SCAN_ONES) & ~word;
}

static inline uint64_t scan_is(uint64_t word, char c)
{
	return scan_zero(word ^ (SCAN_ONES * (unsigned char)c));
}

/* What does not stand for itself in a JSON string, and what is not ASCII. */
static inline uint64_t scan_json(uint64_t word)
{
	uint64_t control = (word - SCAN_ONES * 0x20) & ~word;

	return (scan_is(word, '"') | scan_is(word, '\\') | control | word) & SCAN_HIGHS;
}

/* What a field of CSV needs quotes for. */
static inline uint64_t scan_csv(uint64_t word)
{
	return (scan_is(word, '"') | scan_is(word, ',') | scan_is(word, '\n') | scan_is(word, '\r')) & SCAN_HIGHS;
}

/* The place of the first find; the mask is not 0. */
static inline size_t scan_first(uint64_t mask)
{
	return (size_t)__builtin_ctzll(mask) / 8;
}

/* Where the plain text of a JSON string ends: whole characters of UTF-8, no quote, backslash or control character. */
static inline const char *scan_plain(const char *p, const char *end)
{
	for (;;) {
		size_t n;

		while (end - p >= 8) {
			uint64_t mask = scan_json(scan_load(p));

			if (mask) {
				p += scan_first(mask);
				break;
			}
			p += 8;
		}
		while (p < end && (unsigned char)*p < 0x80) {
			if ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\')
				return p;
			if (end - p >= 8)
				break;
			p++;
		}
		if (p == end)
			return p;
		if ((unsigned char)*p < 0x80)
			continue;
		n = utf8_sequence(p, (size_t)(end - p));
		if (!n)
			return p;
		p += n;
	}
}

#endif
