/* Which forms of an answer the Accept header takes (RFC 9110 12.5.1). */
#include "gateway_internal.h"

#include <string.h>
#include <strings.h>

/* One media range against a type: 3 for the type itself, 2 for its family, 1 for anything, 0 for no match. */
static int range_fits(struct slice range, const char *type)
{
	size_t family = (size_t)(strchr(type, '/') - type);

	if (slice_is_nocase(range, type))
		return 3;
	if (range.n == family + 2 && strncasecmp(range.data, type, family + 1) == 0 && range.data[family + 1] == '*')
		return 2;
	return slice_is(range, "*/*") ? 1 : 0;
}

/* Is the weight among these parameters zero? */
static bool weight_is_zero(struct slice parameters)
{
	const char *at = parameters.data, *end = at + parameters.n;

	while (at < end) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		struct slice one = slice_trim((struct slice){at, (size_t)((semicolon ? semicolon : end) - at)});

		if (one.n >= 3 && strncasecmp(one.data, "q=0", 3) == 0 && strspn(one.data + 3, ".0") >= one.n - 3)
			return true;
		at = semicolon ? semicolon + 1 : end;
	}
	return false;
}

/* How well one element of the list fits, and whether it rules the type out. */
static int element_fits(struct slice element, const char *type, bool *zero)
{
	const char *semicolon = memchr(element.data, ';', element.n);
	size_t n = semicolon ? (size_t)(semicolon - element.data) : element.n;

	*zero = semicolon && weight_is_zero((struct slice){semicolon + 1, element.n - n - 1});
	return range_fits(slice_trim((struct slice){element.data, n}), type);
}

bool request_accepts(const struct request *rq, const char *type)
{
	const char *at = rq->accept;
	int best = 0;
	bool taken = !at;

	while (at && *at) {
		size_t n = strcspn(at, ",");
		bool zero;
		int fit = element_fits((struct slice){at, n}, type, &zero);

		if (fit > best) {
			best = fit;
			taken = !zero;
		}
		at += n + (at[n] == ',');
	}
	return taken;
}
