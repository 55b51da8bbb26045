/* The Accept header, RFC 9110 12.5.1: the most specific range decides, and a weight of zero rules out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../src/gateway/gateway_internal.h"

static const struct {
	const char *accept;
	bool json, stream;
} cases[] = {
    {NULL, true, true}, /* takes anything */
    {"*/*", true, true},
    {"application/json", true, false},
    {"text/event-stream", false, true},
    {"application/json, text/event-stream", true, true},
    {"text/event-stream,application/json", true, true},
    {"  application/json  ,\ttext/event-stream  ", true, true},
    {"Application/JSON, TEXT/Event-Stream", true, true},
    {"text/html", false, false},
    {"text/*", false, true},
    {"TEXT/*", false, true},
    {"application/*", true, false},
    {"application/*, text/*", true, true},
    /* parameters */
    {"application/json;charset=utf-8", true, false},
    {"application/json ; charset=utf-8 ; q=0.3", true, false},
    /* weights: any but zero takes */
    {"application/json;q=0.001", true, false},
    {"application/json;q=1.000", true, false},
    {"application/json;q=0", false, false},
    {"application/json;q=0.0", false, false},
    {"application/json;q=0.000", false, false},
    {"application/json;Q=0", false, false},
    {"application/json; q=0", false, false},
    {"application/json;charset=utf-8;q=0", false, false},
    {"*/*;q=0", false, false},
    /* the most specific range, wherever it stands */
    {"*/*, text/event-stream;q=0", true, false},
    {"text/event-stream;q=0, */*", true, false},
    {"text/*;q=0, */*", true, false},
    {"*/*;q=0, application/json", true, false},
    {"application/*;q=0, application/json", true, false},
    {"application/json;q=0, application/*, */*", false, true},
    {"text/*;q=0, text/event-stream;q=0.1, */*", true, true},
    /* almost a match */
    {"application/json5", false, false},
    {"application/jso", false, false},
    {"application", false, false},
    {"application/", false, false},
    {"text/event-stream-x", false, false},
    {"texts/*", false, false},
    {"*", false, false},
    {"*/json", false, false},
    /* empty elements are left out (RFC 9110 5.6.1) */
    {",, application/json ,,", true, false},
    {",", false, false},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request rq = {.accept = cases[i].accept};

		if (request_accepts(&rq, TYPE_JSON) != cases[i].json)
			fail_msg("JSON by %s", cases[i].accept);
		if (request_accepts(&rq, TYPE_STREAM) != cases[i].stream)
			fail_msg("a stream by %s", cases[i].accept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
