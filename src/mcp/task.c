/* Writes tasks as the extension has them: what a call becomes, what tasks/get tells, and notifications. */
#include <string.h>
#include <time.h>

#include "internal.h"

bool task_id_shaped(const char *id)
{
	return strlen(id) == TASK_ID_SIZE - 1 && strspn(id, "abcdefghijklmnopqrstuvwxyz234567") == TASK_ID_SIZE - 1;
}

enum task_status task_outcome(struct slice response, struct slice *outcome)
{
	static const char *const result[] = {"result", NULL}, *const error[] = {"error", NULL};

	*outcome = json_raw_path(response, result);
	if (outcome->data)
		return TASK_COMPLETED;
	*outcome = json_raw_path(response, error);
	return outcome->data ? TASK_FAILED : TASK_CANCELLED;
}

/* ISO 8601, UTC. */
static bool time_write(struct buf *b, const char *key, int64_t wall)
{
	time_t seconds = (time_t)wall;
	struct tm tm;
	char text[32] = "";

	if (gmtime_r(&seconds, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addc(b, ',');
	return member_write_text(b, key, text);
}

/* The members that every form has. */
static bool members_write(struct buf *b, const struct task *t)
{
	static const char *const statuses[] = {[TASK_WORKING] = "working",
					       [TASK_INPUT_REQUIRED] = "input_required",
					       [TASK_COMPLETED] = "completed",
					       [TASK_FAILED] = "failed",
					       [TASK_CANCELLED] = "cancelled"};

	member_write_text(b, "taskId", t->id);
	buf_addf(b, ",\"status\":\"%s\"", statuses[t->status]);
	if (t->message) {
		buf_addc(b, ',');
		member_write_text(b, "statusMessage", t->message);
	}
	time_write(b, "createdAt", t->created);
	time_write(b, "lastUpdatedAt", t->updated);
	return buf_addf(b, ",\"ttlMs\":%lld,\"pollIntervalMs\":%lld", (long long)t->ttl_ms, (long long)t->poll_ms);
}

static bool detail_write(struct buf *b, const struct task *t)
{
	members_write(b, t);
	if (t->asks_n) {
		buf_addc(b, ',');
		questions_write(b, t->asks, t->asks_n);
	}
	if (t->outcome.n) {
		buf_addf(b, ",\"%s\":", t->status == TASK_FAILED ? "error" : "result");
		buf_add(b, t->outcome.data, t->outcome.n);
	}
	return !buf_failed(b);
}

bool task_created_write(struct buf *b, const struct task *t)
{
	buf_adds(b, "{\"resultType\":\"task\",");
	members_write(b, t);
	return result_close(b, REVISION_2026_07_28, NULL);
}

bool task_result_write(struct buf *b, const struct task *t)
{
	result_open(b, REVISION_2026_07_28);
	detail_write(b, t);
	return result_close(b, REVISION_2026_07_28, NULL);
}

bool task_changed_write(struct buf *b, const struct task *t, struct slice subscription)
{
	notification_open(b, "tasks");
	buf_adds(b, ",\"params\":{");
	detail_write(b, t);
	buf_addc(b, ',');
	subscription_write(b, subscription);
	return buf_adds(b, "}}");
}
