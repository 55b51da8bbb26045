/* What json_parse() takes, json_write() writes so that it reads back as the same value, and the raw token of each
 * member reads as that member. */
#include <stdint.h>
#include <string.h>

#include "snowgate/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_members(struct slice text, json_t *object)
{
	const char *key;
	json_t *member;
	json_object_foreach(object, key, member)
	{
		json_t *again = NULL;
		struct slice raw = json_raw_member(text, key);
		assert(raw.data);
		assert(json_parse(raw, JSON_DEPTH_MAX, &again, NULL, 0) == JSON_OK);
		assert(json_equal(member, again));
		json_decref(again);
	}
	assert(json_object_get(object, "no such member") || !json_raw_member(text, "no such member").data);
}

static void check_write(json_t *value)
{
	struct buf b = buf_with_ceiling(1 << 24);
	json_t *again = NULL;
	assert(json_write(&b, value));
	assert(json_parse(buf_slice(&b), JSON_DEPTH_MAX, &again, NULL, 0) == JSON_OK);
	assert(json_equal(value, again));
	json_decref(again);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xalloc(size); /* exactly as long: reading on would be noticed */
	if (size)
		memcpy(copy, data, size);
	struct slice text = {copy, size};
	json_t *value = NULL, *trusted = NULL;
	char why[100] = "";
	enum json_verdict verdict = json_parse(text, JSON_DEPTH_MAX, &value, why, sizeof(why));
	assert((verdict == JSON_OK) == (value != NULL) && (verdict == JSON_OK) == (why[0] == '\0'));
	bool took = json_parse_trusted(text, &trusted) == JSON_OK;
	assert(took == (trusted != NULL));
	if (value) {
		assert(took && json_equal(value, trusted));
		if (json_is_object(value))
			check_members(text, value);
		check_write(value);
	}
	json_decref(value);
	json_decref(trusted);
	free(copy);
	return 0;
}
