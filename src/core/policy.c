/* A policy's word on contexts: defaults, and what lies outside. */
#include "snowgate/policy.h"

#include "snowgate/err.h"

#include <string.h>

static const char *role_default(const struct policy *p)
{
	const char *own = p->connection ? p->connection->role : NULL;

	if (p->roles.n == 0 || (own && texts_have(p->roles, own)))
		return own;
	return p->roles.v[0];
}

static const char *database_default(const struct policy *p)
{
	const char *own = p->connection ? p->connection->database : NULL;

	if (p->databases.n == 0 || (own && texts_have(p->databases, own)))
		return own;
	return p->databases.n == 1 ? p->databases.v[0] : NULL;
}

void policy_context(const struct policy *p, struct context *out)
{
	const struct connection *own = p->connection;

	*out = (struct context){.database = database_default(p), .role = role_default(p)};
	out->warehouse = p->warehouse ? p->warehouse : own ? own->warehouse : NULL;
	if (own && own->schema && own->database && out->database && strcmp(own->database, out->database) == 0)
		out->schema = own->schema;
}

/* Without a list only the connection's own role may be used: a gateway that shares one user must not lend out the rest.
 */
bool policy_allows_role(const struct policy *p, const char *role)
{
	if (p->roles.n)
		return texts_have(p->roles, role);
	return p->connection && p->connection->role && strcmp(p->connection->role, role) == 0;
}

bool policy_allows_warehouse(const struct policy *p, const char *warehouse)
{
	return !p->warehouse || strcmp(p->warehouse, warehouse) == 0;
}

bool policy_allows_database(const struct policy *p, const char *database)
{
	return p->databases.n == 0 || texts_have(p->databases, database);
}

static const char *texts_join(struct arena *a, struct texts t)
{
	struct buf b = buf_with_ceiling(2048);
	char *joined;

	for (size_t i = 0; i < t.n; i++)
		buf_addf(&b, "%s%s", i ? ", " : "", t.v[i]);
	joined = arena_strdup(a, buf_text(&b));
	buf_free(&b);
	return joined ? joined : "";
}

int policy_check(struct arena *a, const struct policy *p, const struct context *c, const char **why)
{
	const char *own = p->connection && p->connection->role ? p->connection->role : "none";

	*why = NULL;
	if (c->role && !policy_allows_role(p, c->role))
		*why = arena_printf(a, "role %s is not allowed here; allowed: %s", c->role,
				    p->roles.n ? texts_join(a, p->roles) : own);
	else if (c->warehouse && !policy_allows_warehouse(p, c->warehouse))
		*why = arena_printf(a, "warehouse %s is not allowed here; allowed: %s", c->warehouse, p->warehouse);
	else if (c->database && !policy_allows_database(p, c->database))
		*why = arena_printf(a, "database %s is not allowed here; allowed: %s", c->database,
				    texts_join(a, p->databases));
	return *why ? ERR_POLICY : ERR_OK;
}
