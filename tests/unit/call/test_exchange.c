/* Requests and answers as data: fresh ids, ceilings, and headers copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "snowgate/exchange.h"
#include "snowgate/wheel.h"

static const struct conf conf = {.listen_max_body = 16};

static void requests_are_born_with_an_id(void **state)
{
	struct request *a, *b;

	(void)state;
	clock_set_virtual(5 * USEC_PER_S, 0);
	a = request_new(&conf, 1 << 20);
	b = request_new(&conf, 1 << 20);
	assert_int_equal(strlen(a->id), 17);
	assert_int_equal(a->id[0], 'r');
	assert_int_equal(strspn(a->id + 1, "0123456789abcdef"), 16);
	assert_string_not_equal(a->id, b->id);
	assert_int_equal(a->born, 5 * USEC_PER_S);
	assert_ptr_equal(a->conf, &conf);
	assert_null(a->authorization);
	assert_false(a->proxied);
	request_free(a);
	request_free(b);
	request_free(NULL);
}

static void a_body_dies_with_its_request_and_has_a_ceiling(void **state)
{
	struct request *rq = request_new(&conf, 1 << 20);

	(void)state;
	assert_true(buf_adds(&rq->body, "0123456789abcdef"));
	assert_false(buf_addc(&rq->body, 'x'));
	request_free(rq);
	rq = request_new(&conf, 1 << 20);
	assert_true(buf_adds(&rq->body, "{}"));
	request_free(rq); /* the leak checker sees whether the body went too */
}

static void answers_copy_their_headers(void **state)
{
	struct answer a;
	char value[] = "3600";

	(void)state;
	answer_init(&a, 429, "application/json");
	answer_header(&a, "Retry-After", "%s", value);
	value[0] = 'x';
	assert_int_equal(a.status, 429);
	assert_int_equal(a.headers_n, 1);
	assert_string_equal(a.headers[0].name, "Retry-After");
	assert_string_equal(a.headers[0].value, "3600");
	assert_true(buf_adds(&a.body, "{}"));
	answer_free(&a);
	assert_int_equal(a.headers_n, 0);
	assert_null(a.body.data);
	answer_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_are_born_with_an_id),
	    cmocka_unit_test(a_body_dies_with_its_request_and_has_a_ceiling),
	    cmocka_unit_test(answers_copy_their_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
