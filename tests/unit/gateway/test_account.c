/* Accounts: one per principal, forgotten only when nothing of theirs counts any longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../../src/gateway/account.h"

static struct principal principal_of(enum principal_kind kind, const char *issuer, const char *subject)
{
	struct principal p = {.kind = kind};

	snprintf(p.issuer, sizeof p.issuer, "%s", issuer);
	snprintf(p.subject, sizeof p.subject, "%s", subject);
	return p;
}

static void test_one_account_per_principal(void **state)
{
	struct account_table *t = account_table_new(10);
	struct principal alice = principal_of(PRINCIPAL_KEY, "", "alice"), same = alice;
	struct principal token = principal_of(PRINCIPAL_TOKEN, "", "alice");
	struct principal other = principal_of(PRINCIPAL_TOKEN, "https://issuer", "alice");
	struct account *a = account_of(t, &alice, 0);

	(void)state;
	snprintf(same.group, sizeof same.group, "another group");
	assert_non_null(a);
	assert_ptr_equal(account_of(t, &same, 0), a);
	assert_ptr_not_equal(account_of(t, &token, 0), a);
	assert_ptr_not_equal(account_of(t, &other, 0), account_of(t, &token, 0));
	assert_int_equal(account_count(t), 3);
	account_table_free(t);
}

/* Looking for one makes none. */
static void test_find(void **state)
{
	struct account_table *t = account_table_new(10);
	struct principal alice = principal_of(PRINCIPAL_KEY, "", "alice"), bob = principal_of(PRINCIPAL_KEY, "", "bob");
	struct principal local = principal_of(PRINCIPAL_LOCAL, "", "alice");
	struct account *a;

	(void)state;
	assert_null(account_find(t, &alice));
	assert_int_equal(account_count(t), 0);
	a = account_of(t, &alice, 0);
	assert_ptr_equal(account_find(t, &alice), a);
	assert_null(account_find(t, &bob));
	assert_null(account_find(t, &local));
	account_sweep(t, 0);
	assert_null(account_find(t, &alice));
	account_table_free(t);
}

static void test_sweep_keeps_what_counts(void **state)
{
	struct account_table *t = account_table_new(10);
	struct principal p[6];
	struct account *a[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		char name[32];

		snprintf(name, sizeof name, "p%d", i);
		p[i] = principal_of(PRINCIPAL_KEY, "", name);
		a[i] = account_of(t, &p[i], 0);
	}
	a[0]->running = 1;
	a[1]->waiting = 1;
	a[2]->tat = 1001;
	a[3]->calls = 1;
	a[4]->streams = 1;
	account_sweep(t, 1000);
	assert_int_equal(account_count(t), 5);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(account_of(t, &p[i], 1000), a[i]);
	a[0]->running = a[1]->waiting = a[3]->calls = a[4]->streams = 0;
	account_sweep(t, 1001);
	assert_int_equal(account_count(t), 0);
	account_table_free(t);
}

/* A full table makes room by forgetting idle accounts; where none is idle, the newcomer is refused. */
static void test_ceiling(void **state)
{
	struct account_table *t = account_table_new(3);
	char name[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct principal p;
		struct account *a;

		snprintf(name, sizeof name, "idle-%d", i);
		p = principal_of(PRINCIPAL_KEY, "", name);
		a = account_of(t, &p, 5);
		assert_non_null(a);
		assert_true(account_count(t) <= 3);
		assert_int_equal(a->running, 0);
	}
	account_sweep(t, 5);
	for (int i = 0; i < 4; i++) {
		struct principal p;
		struct account *a;

		snprintf(name, sizeof name, "busy-%d", i);
		p = principal_of(PRINCIPAL_KEY, "", name);
		a = account_of(t, &p, 5);
		assert_int_equal(a != NULL, i < 3);
		if (a)
			a->running = 1;
	}
	account_table_free(t);
}

static void test_many_are_found_again(void **state)
{
	enum { N = 5000 };
	struct account_table *t = account_table_new(N);
	static struct account *seen[N];

	(void)state;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < N; i++) {
			char name[32];
			struct principal p;
			struct account *a;

			snprintf(name, sizeof name, "n%d", i);
			p = principal_of(PRINCIPAL_KEY, "", name);
			a = account_of(t, &p, 0);
			assert_non_null(a);
			if (pass)
				assert_ptr_equal(a, seen[i]);
			a->running = 1;
			seen[i] = a;
		}
	assert_int_equal(account_count(t), N);
	account_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_account_per_principal), cmocka_unit_test(test_find),
	    cmocka_unit_test(test_sweep_keeps_what_counts),   cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_many_are_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
