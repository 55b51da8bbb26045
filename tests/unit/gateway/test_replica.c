/* Messages between replicas: sealed and bound, heard once, not too old; whatever else comes is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/gateway/replica.h"

#define NOW INT64_C(1800000000)

static const struct seal_keys ours = {1, {{{1}}}}, others = {1, {{{2}}}}, both = {2, {{{2}}, {{1}}}};
static const char *const names[TALES_N] = {"cancel", "ended", "reply", "watches", "taken", "updated", "task"};

static struct buf told(const struct seal_keys *keys, struct replica *r, enum tale tale, int64_t at)
{
	struct buf b = buf_with_ceiling(TALE_MAX);

	assert_true(tale_write(&b, keys, r, tale, json_pack("{s:s}", "session", "a session"), at));
	return b;
}

static const char *heard(const struct seal_keys *keys, struct replica *r, const char *channel, struct slice sealed)
{
	json_t *message = NULL;
	enum tale tale;
	const char *outcome = tale_read(keys, r, channel, sealed, NOW, &tale, &message);

	if (strcmp(outcome, "heard") != 0) {
		assert_null(message);
		return outcome;
	}
	assert_string_equal(names[tale], channel);
	assert_string_equal(json_text_of(message, "session"), "a session");
	json_decref(message);
	return outcome;
}

static void each_is_heard_on_its_own_channel_and_no_other(void **state)
{
	(void)state;
	for (int sent = 0; sent < TALES_N; sent++) {
		struct replica from = {.told = 0}, to = {.told = 0};
		struct buf b = told(&ours, &from, (enum tale)sent, NOW);

		for (int i = 0; i < TALES_N; i++)
			if (i != sent)
				assert_string_equal(heard(&ours, &to, names[i], buf_slice(&b)), "foreign");
		assert_string_equal(heard(&ours, &to, names[sent], buf_slice(&b)), "heard");
		buf_free(&b);
	}
}

static void what_is_in_it_cannot_be_read(void **state)
{
	struct replica from = {.told = 0};
	struct buf b = told(&ours, &from, TALE_ENDED, NOW);

	(void)state;
	assert_null(memmem(b.data, b.n, "a session", 9));
	assert_null(memmem(b.data, b.n, from.id, 8));
	buf_free(&b);
}

static void it_is_heard_once(void **state)
{
	struct replica from = {.told = 0}, to = {.told = 0};
	struct buf one = told(&ours, &from, TALE_CANCEL, NOW), two = told(&ours, &from, TALE_CANCEL, NOW);

	(void)state;
	assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&one)), "heard");
	assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&one)), "again");
	assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&two)), "heard");
	assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&one)), "again");
	assert_string_equal(heard(&ours, &from, "cancel", buf_slice(&two)), "again"); /* his own */
	buf_free(&one);
	buf_free(&two);
}

static void clocks_may_differ_but_what_is_old_is_dropped(void **state)
{
	static const struct {
		int64_t at;
		const char *outcome;
	} table[] = {{0, "heard"}, {-30, "heard"}, {30, "heard"},   {-TALE_OLDEST_S, "heard"},
		     {-61, "old"}, {61, "old"},    {-86400, "old"}, {-NOW, "old"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct replica from = {.told = 0}, to = {.told = 0};
		struct buf b = told(&ours, &from, TALE_CANCEL, NOW + table[i].at);

		assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&b)), table[i].outcome);
		buf_free(&b);
	}
}

/* Keys rotate: appended everywhere, then promoted. */
static void any_of_the_keys_opens_it(void **state)
{
	struct replica from = {.told = 0}, to = {.told = 0};
	struct buf b = told(&ours, &from, TALE_CANCEL, NOW);

	(void)state;
	assert_string_equal(heard(&others, &to, "cancel", buf_slice(&b)), "foreign");
	assert_string_equal(heard(&both, &to, "cancel", buf_slice(&b)), "heard");
	buf_free(&b);
}

static void no_byte_of_it_can_be_changed(void **state)
{
	struct replica from = {.told = 0}, to = {.told = 0};
	struct buf b = told(&ours, &from, TALE_CANCEL, NOW);

	(void)state;
	for (size_t i = 0; i < b.n; i++) {
		b.data[i] ^= 1;
		assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&b)), "foreign");
		b.data[i] ^= 1;
	}
	for (size_t n = 0; n < b.n; n++)
		assert_string_equal(heard(&ours, &to, "cancel", (struct slice){b.data, n}), "foreign");
	assert_string_equal(heard(&ours, &to, "cancel", buf_slice(&b)), "heard");
	buf_free(&b);
}

/* Sealed by a newer program, or wrongly: neither harms. */
static void what_is_no_message_is_dropped(void **state)
{
	static const char *const plain[] = {"",
					    "[]",
					    "null",
					    "{}",
					    "{\"from\":1}",
					    "{\"from\":\"short\",\"number\":1}",
					    "{\"from\":\"00000000000000000000000000000000\"}",
					    "not JSON"};
	struct replica to = {.told = 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		struct buf b = buf_with_ceiling(TALE_MAX);
		const char *outcome;

		assert_true(journal_seal(&b, &ours, "tell:cancel", slice_of(plain[i])));
		outcome = heard(&ours, &to, "cancel", buf_slice(&b));
		assert_true(strcmp(outcome, "foreign") == 0 || strcmp(outcome, "old") == 0);
		buf_free(&b);
	}
	assert_string_equal(heard(&ours, &to, "from a newer program", SLICE("x")), "foreign");
}

static void one_that_is_too_large_is_not_sent(void **state)
{
	struct replica from = {.told = 0};
	struct buf b = buf_with_ceiling(TALE_MAX), text = buf_with_ceiling(2 * TALE_MAX);

	(void)state;
	while (text.n < TALE_MAX)
		buf_adds(&text, "0123456789abcdef");
	assert_false(tale_write(&b, &ours, &from, TALE_REPLY, json_pack("{s:s}", "answer", buf_text(&text)), NOW));
	assert_false(tale_write(&b, &ours, &from, TALE_REPLY, NULL, NOW));
	buf_free(&b);
	buf_free(&text);
}

/* More senders than are remembered: the longest silent one is forgotten, and what is then heard again is still young.
 */
static void many_senders(void **state)
{
	static struct replica from[SENDERS_MAX + 10];
	struct replica to = {.told = 0};

	(void)state;
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_LEN(from); i++) {
			struct buf b = told(&ours, &from[i], TALE_ENDED, NOW);

			assert_string_equal(heard(&ours, &to, "ended", buf_slice(&b)), "heard");
			assert_string_equal(heard(&ours, &to, "ended", buf_slice(&b)), "again");
			buf_free(&b);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_heard_on_its_own_channel_and_no_other),
	    cmocka_unit_test(what_is_in_it_cannot_be_read),
	    cmocka_unit_test(it_is_heard_once),
	    cmocka_unit_test(clocks_may_differ_but_what_is_old_is_dropped),
	    cmocka_unit_test(any_of_the_keys_opens_it),
	    cmocka_unit_test(no_byte_of_it_can_be_changed),
	    cmocka_unit_test(what_is_no_message_is_dropped),
	    cmocka_unit_test(one_that_is_too_large_is_not_sent),
	    cmocka_unit_test(many_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
