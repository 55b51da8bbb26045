/* What is looked at, step by step, what it means and what to do about it. */
#include "doctor.h"

#include "snowgate/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SKEW_WARN_S 30
#define SKEW_FAIL_S 60
#define ROLES_MAX   64 /* of a role's own roles that are followed */
#define SHOWN_MAX   4  /* grants named in a line */

struct doctor {
	const struct conf *conf;
	FILE *out;
	int faults;
	const struct policy *policy; /* whose connection is looked at */
	struct principal who;
};

enum sign { FINE, WARN, FAULT };

/* ---- the report ---- */

static void say(struct doctor *d, enum sign sign, const char *step, const char *format, ...) PRINTF_LIKE(4, 5);
static void say(struct doctor *d, enum sign sign, const char *step, const char *format, ...)
{
	static const char *const signs[] = {"ok  ", "warn", "FAIL"};
	va_list args;

	fprintf(d->out, "%s  %-16s ", signs[sign], step);
	va_start(args, format);
	vfprintf(d->out, format, args);
	va_end(args);
	fputc('\n', d->out);
	d->faults += sign == FAULT;
}

static void advise(struct doctor *d, const char *format, ...) PRINTF_LIKE(2, 3);
static void advise(struct doctor *d, const char *format, ...)
{
	va_list args;

	fputs("      -> ", d->out);
	va_start(args, format);
	vfprintf(d->out, format, args);
	va_end(args);
	fputc('\n', d->out);
}

/* ---- the way there ---- */

static void unreached(struct doctor *d, const struct doctor_network *n)
{
	const struct connection *c = d->policy->connection;

	if (n->reached == NETWORK_NO_NAME) {
		say(d, FAULT, "name", "%s has no address: %s", n->proxy[0] ? n->proxy : c->host, n->why);
		advise(d,
		       "check account or host of connection %s (MYORG-MYACCOUNT, or the PrivateLink name), and this "
		       "machine's DNS",
		       c->name);
	} else if (n->reached == NETWORK_NO_CONNECTION) {
		say(d, FAULT, "connection", "%s port %lld cannot be reached: %s", c->host, (long long)c->port, n->why);
		advise(d, "allow outgoing connections to it in the firewall, or set proxy_host and proxy_port%s",
		       n->proxy[0] ? "; a proxy is in use" : "");
	} else {
		say(d, FAULT, "TLS", "%s", n->why);
		advise(d,
		       "where a proxy opens TLS, give its certificate in ca_file of connection %s; otherwise the host "
		       "name is not the account's",
		       c->name);
	}
}

static void look_at_clock(struct doctor *d, const struct doctor_network *n)
{
	long long skew = llabs((long long)n->skew_s);

	if (!n->has_date)
		return;
	say(d,
	    skew > SKEW_FAIL_S   ? FAULT
	    : skew > SKEW_WARN_S ? WARN
				 : FINE,
	    "clock", "%lld s %s Snowflake's", skew, n->skew_s < 0 ? "behind" : "before");
	if (skew > SKEW_WARN_S)
		advise(d, "set this machine's clock (timedatectl set-ntp true); tokens carry the time they were made");
}

static bool look_at_network(struct doctor *d)
{
	struct doctor_network n;

	doctor_reach(d->policy->connection, &n);
	if (n.addresses[0])
		say(d, FINE, "name", "%s is %s%s", d->policy->connection->host, n.addresses,
		    n.private_only ? " (a private network)" : "");
	if (n.proxy[0])
		say(d, FINE, "proxy", "%s", n.proxy);
	if (n.reached != NETWORK_FINE) {
		unreached(d, &n);
		return false;
	}
	say(d, FINE, "TLS", "%s",
	    !strcmp(d->policy->connection->protocol, "http") ? "none (a test server on loopback)" : "verified");
	look_at_clock(d, &n);
	return true;
}

/* ---- what a failed statement means ---- */

static bool says(const struct reading *r, const char *code)
{
	return r->code && !strcmp(r->code, code);
}

static bool mentions(const struct reading *r, const char *what)
{
	return r->message && strcasestr(r->message, what);
}

static void refused_login(struct doctor *d, const struct reading *r)
{
	const struct connection *c = d->policy->connection;

	if (mentions(r, "network policy") || mentions(r, "is not allowed to access") || says(r, "390422"))
		advise(d, "add this machine's public address to the network policy of the account or of the user");
	else if (says(r, "394302"))
		advise(d, "the token is from the future: set this machine's clock");
	else if (says(r, "390144") || says(r, "394304") || says(r, "394300"))
		advise(
		    d,
		    "compare RSA_PUBLIC_KEY_FP of DESC USER with: openssl pkey -in KEY -pubout -outform DER | openssl "
		    "dgst -sha256 -binary | openssl base64; a UUID in the message goes into "
		    "SYSTEM$GET_LOGIN_FAILURE_DETAILS");
	else
		advise(d, "check connection %s: %s", c->name, authenticator_of(c->auth)->check);
}

static bool is_about_role(const struct reading *r)
{
	return says(r, "390189") || mentions(r, "role '") || mentions(r, "requested role");
}

/* ---- who is there ---- */

static bool look_at_login(struct doctor *d, const char *role)
{
	struct doctor_answer a;
	const char *user;

	doctor_ask(d->conf, d->policy, &d->who, role, NULL,
		   "SELECT CURRENT_USER() AS U, CURRENT_ROLE() AS R, CURRENT_ACCOUNT() AS A, CURRENT_VERSION() AS V",
		   &a);
	if (a.fine) {
		user = doctor_cell(&a, 0, "U");
		say(d, FINE, "credentials", "user %s, role %s, account %s, Snowflake %s", user ? user : "?",
		    doctor_cell(&a, 0, "R"), doctor_cell(&a, 0, "A"), doctor_cell(&a, 0, "V"));
	} else if (is_about_role(&a.reading)) {
		say(d, FAULT, "role", "%s: %s", role ? role : "(default)", a.reading.message);
		advise(d, "GRANT ROLE %s TO USER ...; or correct role and roles in the configuration",
		       role ? role : "...");
	} else {
		say(d, FAULT, "credentials", "%s", a.reading.message);
		refused_login(d, &a.reading);
	}
	doctor_forget(&a);
	return a.fine;
}

static void look_at_roles(struct doctor *d)
{
	const struct texts roles = d->policy->roles;

	for (size_t i = 1; i < roles.n; i++) {
		struct doctor_answer a;

		doctor_ask(d->conf, d->policy, &d->who, roles.v[i], NULL, "SELECT CURRENT_ROLE()", &a);
		say(d, a.fine ? FINE : FAULT, "role", "%s%s%s", roles.v[i], a.fine ? "" : ": ",
		    a.fine ? "" : a.reading.message);
		if (!a.fine)
			advise(d, "GRANT ROLE %s TO USER ...; or take it out of the policy %s", roles.v[i],
			       d->policy->name);
		doctor_forget(&a);
	}
}

/* Every other grant of the user counts as well while secondary roles are ALL. */
static void look_at_secondary(struct doctor *d, const char *role)
{
	struct doctor_answer a;
	const char *told;

	doctor_ask(d->conf, d->policy, &d->who, role, NULL, "SELECT CURRENT_SECONDARY_ROLES() AS S", &a);
	told = a.fine ? doctor_cell(&a, 0, "S") : NULL;
	if (!a.fine)
		say(d, WARN, "secondary roles", "could not be read: %s", a.reading.message);
	else if (!told || !*told || strstr(told, "\"roles\":\"\""))
		say(d, FINE, "secondary roles", "none");
	else {
		say(d, connection_is_per_user(d->policy->connection) ? FAULT : WARN, "secondary roles",
		    "%s: every grant of the user counts, whatever the role", told);
		advise(d, "ALTER USER ... SET DEFAULT_SECONDARY_ROLES = ();");
	}
	doctor_forget(&a);
}

/* ---- what there is ---- */

static void look_at_object(struct doctor *d, const char *role, const char *kind, const char *name)
{
	struct buf sql = buf_with_ceiling(2048);
	struct doctor_answer a;
	bool found = false;

	buf_addf(&sql, "SHOW %sS LIKE ", kind);
	sql_quote_string(&sql, name);
	doctor_ask(d->conf, d->policy, &d->who, role, NULL, buf_text(&sql), &a);
	for (size_t i = 0; a.fine && i < cells_rows(a.cells); i++)
		found |= doctor_cell(&a, i, "name") && !strcmp(doctor_cell(&a, i, "name"), name);
	if (!a.fine)
		say(d, FAULT, kind, "%s: %s", name, a.reading.message);
	else if (!found)
		say(d, FAULT, kind, "%s does not exist, or role %s may not use it", name, role ? role : "(default)");
	else
		say(d, FINE, kind, "%s", name);
	if (!found)
		advise(d, "GRANT USAGE ON %s \"%s\" TO ROLE %s;", kind, name, role ? role : "...");
	doctor_forget(&a);
	buf_free(&sql);
}

static void look_at_warehouse(struct doctor *d, const char *role)
{
	const char *name = d->policy->warehouse ? d->policy->warehouse : d->policy->connection->warehouse;

	if (name) {
		look_at_object(d, role, "WAREHOUSE", name);
		return;
	}
	say(d, WARN, "WAREHOUSE", "none is set: statements run on the user's default, or fail with 000606");
	advise(d, "set warehouse in connection %s or in policy %s", d->policy->connection->name, d->policy->name);
}

/* ---- what the role can write ---- */

struct writes {
	struct buf shown;
	size_t n;
	char *roles[ROLES_MAX];
	size_t roles_n, looked;
	bool unread;
};

static bool is_write(const char *privilege)
{
	static const char *const words[] = {"INSERT", "UPDATE", "DELETE",  "TRUNCATE", "OWNERSHIP", "ALL",
					    "WRITE",  "MODIFY", "OPERATE", "APPLY",    "EVOLVE"};
	static const char *const starts[] = {"CREATE ", "MANAGE ", "EXECUTE ", "APPLY ", "EVOLVE ", "IMPORT "};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcasecmp(privilege, words[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (!strncasecmp(privilege, starts[i], strlen(starts[i])))
			return true;
	return false;
}

/* Behind SHOW GRANTS TO: ROLE "R", or DATABASE ROLE "D"."R". */
static void writes_role(struct writes *w, const char *kind, const char *role)
{
	struct arena *a = arena_new(1 << 16);
	struct buf b = buf_with_ceiling(2048);
	struct sql_name name;
	const char *why;

	if (sql_name_parse(a, slice_of(role), 2, &name, &why) != ERR_OK)
		name = (struct sql_name){1, {role}};
	buf_addf(&b, "%s ", kind);
	sql_quote_name(&b, &name);
	arena_free(a);
	for (size_t i = 0; i < w->roles_n; i++)
		if (!strcmp(w->roles[i], buf_text(&b))) {
			buf_free(&b);
			return;
		}
	w->unread |= w->roles_n == ROLES_MAX;
	if (w->roles_n < ROLES_MAX)
		w->roles[w->roles_n++] = xstrdup(buf_text(&b));
	buf_free(&b);
}

static void writes_grant(struct writes *w, const char *privilege, const char *on, const char *name)
{
	if (!strcasecmp(privilege, "USAGE") && !strcasecmp(on, "ROLE"))
		writes_role(w, "ROLE", name);
	if (!strcasecmp(privilege, "USAGE") && !strcasecmp(on, "DATABASE_ROLE"))
		writes_role(w, "DATABASE ROLE", name);
	if (!is_write(privilege))
		return;
	if (w->n < SHOWN_MAX)
		buf_addf(&w->shown, "%s%s on %s %s", w->n ? ", " : "", privilege, on, name);
	w->n++;
}

static void writes_of(struct doctor *d, struct writes *w, const char *as, const char *role)
{
	struct buf sql = buf_with_ceiling(2048);
	struct doctor_answer a;

	buf_addf(&sql, "SHOW GRANTS TO %s", role);
	doctor_ask(d->conf, d->policy, &d->who, as, NULL, buf_text(&sql), &a);
	w->unread |= !a.fine;
	for (size_t i = 0; a.fine && i < cells_rows(a.cells); i++) {
		const char *privilege = doctor_cell(&a, i, "privilege"), *on = doctor_cell(&a, i, "granted_on");
		const char *name = doctor_cell(&a, i, "name");

		if (privilege && on && name)
			writes_grant(w, privilege, on, name);
	}
	doctor_forget(&a);
	buf_free(&sql);
}

static void writes_told(struct doctor *d, const struct writes *w, const char *role)
{
	const unsigned writing = CLASS_DML | CLASS_DDL | CLASS_DCL;
	bool reads_only = !(d->policy->statements & writing);

	if (w->n) {
		say(d, reads_only ? WARN : FINE, "writes", "%s can: %s%s", role, buf_text(&w->shown),
		    w->n > SHOWN_MAX ? ", and more" : "");
		if (reads_only)
			advise(d,
			       "policy %s is for reading: let Snowflake hold that too, with a role that has USAGE and "
			       "SELECT only (deploy/snowflake/setup.sql)",
			       d->policy->name);
	} else if (w->unread) {
		say(d, WARN, "writes", "the grants of %s could not be read", role);
	} else {
		say(d, FINE, "writes", "%s can write nothing", role);
	}
}

static void look_at_writes(struct doctor *d, const char *role)
{
	struct writes w = {.shown = buf_with_ceiling(8192)};

	writes_role(&w, "ROLE", role);
	while (w.looked < w.roles_n)
		writes_of(d, &w, role, w.roles[w.looked++]);
	writes_told(d, &w, role);
	for (size_t i = 0; i < w.roles_n; i++)
		free(w.roles[i]);
	buf_free(&w.shown);
}

/* ---- policies ---- */

/* Where each principal is a user of its own, the doctor asks as the first that is named. */
static bool choose_user(struct doctor *d)
{
	const struct connection *c = d->policy->connection;

	d->who = (struct principal){.kind = PRINCIPAL_LOCAL, .subject = "local"};
	if (!connection_is_per_user(c))
		return true;
	if (c->users_n)
		(void)snprintf(d->who.subject, sizeof d->who.subject, "%.127s", c->users[0].subject);
	if (c->users_n || c->user)
		return true;
	say(d, FAULT, "users", "connection %s has no users", c->name);
	advise(d, "name them under users, or give user: a template with {subject}");
	return false;
}

static void look_at_policy(struct doctor *d)
{
	const struct policy *p = d->policy;
	const char *role = p->roles.n ? p->roles.v[0] : p->connection->role;

	fprintf(d->out, "\npolicy %s, connection %s, %s, host %s\n", p->name, p->connection->name,
		authenticator_of(p->connection->auth)->name, p->connection->host);
	if (!choose_user(d) || !look_at_network(d) || !look_at_login(d, role))
		return;
	look_at_roles(d);
	look_at_warehouse(d, role);
	for (size_t i = 0; i < p->databases.n; i++)
		look_at_object(d, role, "DATABASE", p->databases.v[i]);
	if (!p->databases.n && p->connection->database)
		look_at_object(d, role, "DATABASE", p->connection->database);
	look_at_secondary(d, role);
	if (role)
		look_at_writes(d, role);
}

int doctor_run(const struct conf *conf, FILE *out)
{
	const struct snowflake_ops none = {NULL, NULL};
	struct doctor d = {.conf = conf, .out = out};
	enum thread before = thread_self();
	char why[256];

	thread_play(THREAD_SNOWFLAKE);
	if (!client_open(conf, &none, why, sizeof why)) {
		say(&d, FAULT, "client", "%s", why);
		thread_play(before);
		return d.faults;
	}
	for (size_t i = 0; i < conf->policies_n; i++) {
		d.policy = &conf->policies[i];
		if (d.policy->connection)
			look_at_policy(&d);
	}
	fprintf(out, "\n%d fault%s\n", d.faults, d.faults == 1 ? "" : "s");
	client_close();
	thread_play(before);
	return d.faults;
}
