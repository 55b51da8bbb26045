/* policy.h
 *
 * What a policy says of a context: its defaults and its bounds. Pure, over an immutable snapshot.
 */
#ifndef SNOWGATE_POLICY_H
#define SNOWGATE_POLICY_H

#include "snowgate/conf.h"
#include "snowgate/context.h"

/* The context of a call without a session: the policy's role, warehouse and database where it fixes them, else the
 * connection's. Texts are borrowed from the snapshot; parameters NULL. */
void policy_context(const struct policy *p, struct context *out);

bool policy_allows_role(const struct policy *p, const char *role);
bool policy_allows_warehouse(const struct policy *p, const char *warehouse);
bool policy_allows_database(const struct policy *p, const char *database);
/* ERR_OK; or ERR_POLICY with *why, a sentence in `a` that names what is allowed. What is not set is not checked. */
int policy_check(struct arena *a, const struct policy *p, const struct context *c, const char **why) MUST_USE;

#endif
