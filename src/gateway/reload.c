/* What a new snapshot or new keys mean for what is open: lists that have changed, streams that may no longer be. */
#include "gateway_internal.h"

#include <string.h>

static bool texts_same(struct texts a, struct texts b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (strcmp(a.v[i], b.v[i]) != 0)
			return false;
	return true;
}

static bool text_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool matches_same(const struct policy *a, const struct policy *b)
{
	return texts_same(a->principals, b->principals) && texts_same(a->groups, b->groups);
}

/* What a policy says of which list. Tools carry its numbers and names; prompts are there or not; resources are what can
 * be seen. */
static bool policy_same(const struct policy *a, const struct policy *b, enum change change)
{
	if (!matches_same(a, b) || ((a->statements ^ b->statements) & CLASS_METADATA))
		return false;
	switch (change) {
	case CHANGE_TOOLS:
		return a->statements == b->statements && a->toolsets == b->toolsets && texts_same(a->roles, b->roles) &&
		       text_same(a->warehouse, b->warehouse) && texts_same(a->databases, b->databases) &&
		       texts_same(a->cortex, b->cortex);
	case CHANGE_RESOURCES:
		return texts_same(a->databases, b->databases) && texts_same(a->roles, b->roles) &&
		       text_same(a->connection ? a->connection->name : NULL,
				 b->connection ? b->connection->name : NULL);
	case CHANGE_PROMPTS:
	case CHANGES_N:
		break;
	}
	return true;
}

static bool lists_same(const struct conf *from, const struct conf *to, enum change change)
{
	if (from->policies_n != to->policies_n)
		return false;
	if (change == CHANGE_TOOLS && (from->results_default_rows != to->results_default_rows ||
				       from->results_max_rows != to->results_max_rows || !cortex_same(from, to)))
		return false;
	for (size_t i = 0; i < from->policies_n; i++)
		if (!policy_same(&from->policies[i], &to->policies[i], change))
			return false;
	return true;
}

void reload_lists(const struct conf *from, const struct conf *to)
{
	for (int i = 0; i < CHANGES_N; i++)
		if (!lists_same(from, to, (enum change)i))
			notify_changed((enum change)i);
}

/* ---- who may still listen ---- */

static void confirm(const struct principal *p, void *round)
{
	struct account *a = account_find(gateway.accounts, p);

	if (a && conf_policy(gateway.conf, p))
		a->confirmed = *(const uint64_t *)round;
}

void reload_listeners(void)
{
	static uint64_t round;
	struct principal local = {.kind = PRINCIPAL_LOCAL, .subject = "local"};

	OWNED_BY(THREAD_NET);
	round++;
	confirm(&local, &round);
	keyring_each(gateway.keys, clock_wall(), confirm, &round);
	gateway.keys_expire = keyring_next_expiry(gateway.keys, clock_wall());
	for (struct listener *l = gateway.listeners.oldest, *next; l; l = next) {
		next = l->next;
		if (l->kind != LISTENER_CALL && l->account->confirmed != round)
			listener_close(l);
	}
	exports_revoke(round);
}
