/* Writes the notifications that the server sends of itself. */
#include <math.h>
#include <string.h>

#include "internal.h"

static const char *const levels[] = {
    [LEVEL_DEBUG] = "debug", [LEVEL_INFO] = "info",         [LEVEL_NOTICE] = "notice", [LEVEL_WARNING] = "warning",
    [LEVEL_ERROR] = "error", [LEVEL_CRITICAL] = "critical", [LEVEL_ALERT] = "alert",   [LEVEL_EMERGENCY] = "emergency",
};

int mcp_level_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(levels); i++)
		if (strcmp(name, levels[i]) == 0)
			return (int)i;
	return -1;
}

bool notification_open(struct buf *b, const char *method)
{
	return buf_addf(b, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/%s\"", method);
}

bool subscription_write(struct buf *b, struct slice subscription)
{
	buf_adds(b, "\"_meta\":{\"" META_SUBSCRIPTION "\":");
	buf_add(b, subscription.data, subscription.n);
	return buf_addc(b, '}');
}

/* A whole number without a fraction, as most clients print it; what is no number at all is 0. */
static bool number_write(struct buf *b, double d)
{
	if (!isfinite(d))
		d = 0;
	/* 2^53: below it every whole number is exact. */
	if (d == floor(d) && fabs(d) < 9007199254740992.0)
		return buf_addf(b, "%lld", (long long)d);
	json_t *number = json_real(d);
	bool written = json_write(b, number);
	json_decref(number);
	return written;
}

bool progress_write(struct buf *b, enum revision revision, struct slice token, double progress, double total,
		    const char *message)
{
	notification_open(b, "progress");
	buf_adds(b, ",\"params\":{\"progressToken\":");
	buf_add(b, token.data, token.n);
	buf_adds(b, ",\"progress\":");
	number_write(b, progress);
	if (total > 0) {
		buf_adds(b, ",\"total\":");
		number_write(b, total);
	}
	if (message && revision >= REVISION_2025_03_26) {
		buf_addc(b, ',');
		member_write_text(b, "message", message);
	}
	return buf_adds(b, "}}");
}

bool log_write(struct buf *b, enum mcp_level level, struct slice data)
{
	assert((size_t)level < ARRAY_LEN(levels));
	notification_open(b, "message");
	buf_addf(b, ",\"params\":{\"level\":\"%s\",\"logger\":\"snowgate\",\"data\":", levels[level]);
	buf_add(b, data.data, data.n);
	return buf_adds(b, "}}");
}

bool list_changed_write(struct buf *b, enum change change, struct slice subscription)
{
	static const char *const methods[CHANGES_N] = {
	    [CHANGE_TOOLS] = "tools/list_changed",
	    [CHANGE_PROMPTS] = "prompts/list_changed",
	    [CHANGE_RESOURCES] = "resources/list_changed",
	};
	assert((size_t)change < CHANGES_N);
	notification_open(b, methods[change]);
	if (subscription.data) {
		buf_adds(b, ",\"params\":{");
		subscription_write(b, subscription);
		buf_addc(b, '}');
	}
	return buf_addc(b, '}');
}

bool resource_updated_write(struct buf *b, const char *uri, struct slice subscription)
{
	notification_open(b, "resources/updated");
	buf_adds(b, ",\"params\":{");
	member_write_text(b, "uri", uri);
	if (subscription.data) {
		buf_addc(b, ',');
		subscription_write(b, subscription);
	}
	return buf_adds(b, "}}");
}
