/* The search for the node that is the master, and whether it keeps what it is told. */
#include "valkey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "snowgate/log.h"
#include "snowgate/wheel.h"

/* How long a node may take when one that will do has been found. */
#define OTHERS_MAX (250 * USEC_PER_MS)

bool durability_waits(enum durability d)
{
	return d == DURABILITY_WAIT || d == DURABILITY_BOTH;
}

static bool durability_needs_aof(enum durability d)
{
	return d == DURABILITY_AOF || d == DURABILITY_BOTH;
}

int64_t valkey_server_ms(const struct valkey *s, usec_t at)
{
	return s->server_ms + (at - s->server_at) / USEC_PER_MS;
}

void valkey_server_is(struct valkey *s, int64_t ms)
{
	s->server_ms = ms;
	s->server_at = clock_now();
}

bool node_enter(const struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	const char *user = l->node->user;
	struct slice words[3] = {SLICE("AUTH")};
	char select[32];
	size_t n = 1;

	if (user)
		words[n++] = slice_of(user);
	words[n++] = slice_of(s->password);
	redisReply *r = user || *s->password ? link_call(l, deadline, t, n, words) : NULL;
	if (!r && (user || *s->password))
		return false;
	freeReplyObject(r);
	if (l->node->db == 0)
		return true;
	snprintf(select, sizeof select, "SELECT %d", (int)l->node->db);
	r = link_ask(l, deadline, t, select);
	if (r)
		freeReplyObject(r);
	return r;
}

/* Has the node functions whose library's name fits? -1: it does not say. */
static int functions_there(struct link *l, usec_t deadline, struct trouble *t, const char *name)
{
	struct slice words[] = {SLICE("FUNCTION"), SLICE("LIST"), SLICE("LIBRARYNAME"), slice_of(name)};
	redisReply *r = link_call(l, deadline, t, ARRAY_LEN(words), words);
	int there;

	if (!r)
		return -1;
	there = r->type == REDIS_REPLY_ARRAY && r->elements > 0;
	freeReplyObject(r);
	return there;
}

/* That a gateway has written here shows that there was a replica once: it is away, as after a failover, and comes
 * back. Else somebody has yet to add one. */
static bool was_joined(struct link *l, usec_t deadline)
{
	struct trouble unused;

	return functions_there(l, deadline, &unused, "snowgate_*") == 1;
}

/* ROLE: "master", offset, replicas | "slave", ... */
static bool role_fits(struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	redisReply *r = link_ask(l, deadline, t, "ROLE");
	bool master, alone;

	if (!r)
		return false;
	master = r->type == REDIS_REPLY_ARRAY && r->elements >= 3 && r->element[0]->type == REDIS_REPLY_STRING &&
		 strcmp(r->element[0]->str, "master") == 0;
	s->offset = master ? r->element[1]->integer : 0;
	alone = !master || r->element[2]->type != REDIS_REPLY_ARRAY || r->element[2]->elements == 0;
	freeReplyObject(r);
	if (!master)
		trouble_say(t, false, "%s: is a replica, and no other node of store.url is a master", l->node->name);
	else if (alone && durability_waits(s->durability))
		trouble_say(
		    t, !was_joined(l, deadline),
		    "%s: has no replica, and store.durability is %s: add a replica (replicaof), or set it to aof "
		    "and the server to appendonly yes, appendfsync always; none keeps what the server keeps",
		    l->node->name, s->durability == DURABILITY_WAIT ? "wait" : "both");
	return master && !(alone && durability_waits(s->durability));
}

/* The value of "name:value\r\n"; "" where there is none. */
static void info_value(const char *info, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	*out = '\0';
	for (const char *at = info; at && *at; at = strchr(at, '\n'), at += at ? 1 : 0)
		if (strncmp(at, name, n) == 0 && at[n] == ':') {
			snprintf(out, size, "%.*s", (int)strcspn(at + n + 1, "\r\n"), at + n + 1);
			return;
		}
}

static bool info_fits(const struct valkey *s, struct link *l, const char *info, struct trouble *t)
{
	char version[32], mode[32], memory[32], policy[32];

	info_value(info, "redis_version", version, sizeof version);
	info_value(info, "redis_mode", mode, sizeof mode);
	info_value(info, "maxmemory", memory, sizeof memory);
	info_value(info, "maxmemory_policy", policy, sizeof policy);
	if (version[0] && version[1] == '.' && version[0] < '7')
		return trouble_say(t, true, "%s: is version %s; Valkey, or Redis 7 or later, is needed", l->node->name,
				   version),
		       false;
	if (strcmp(mode, "cluster") == 0 || strcmp(mode, "sentinel") == 0)
		return trouble_say(t, true, "%s: runs as a %s; a plain server with replicas is needed", l->node->name,
				   mode),
		       false;
	if (!*policy || strcmp(memory, "0") == 0 || strcmp(policy, "noeviction") == 0)
		return true;
	if (s->durability != DURABILITY_NONE)
		return trouble_say(
			   t, true,
			   "%s: maxmemory-policy is %s, which throws sessions away when memory is short: set it "
			   "to noeviction",
			   l->node->name, policy),
		       false;
	log_event(LOG_WARN, "store_evicts", log_text("node", l->node->name), log_text("maxmemory_policy", policy));
	return true;
}

/* Which a user may lack the right to ask for: then a line in the log. */
static bool info_check(const struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	redisReply *r = link_ask(l, deadline, t, "INFO");
	bool fits;

	if (!r && strstr(t->text, "NOPERM")) {
		log_event(LOG_WARN, "store_unchecked", log_text("node", l->node->name), log_text("why", t->text));
		return true;
	}
	if (!r)
		return false;
	fits = r->type != REDIS_REPLY_STRING || info_fits(s, l, r->str, t);
	freeReplyObject(r);
	return fits;
}

/* CONFIG GET name: is it `want`? */
static bool config_is(struct link *l, usec_t deadline, const char *name, const char *want, struct trouble *t)
{
	struct slice words[] = {SLICE("CONFIG"), SLICE("GET"), slice_of(name)};
	redisReply *r = link_call(l, deadline, t, ARRAY_LEN(words), words);
	bool is;

	if (!r && strstr(t->text, "NOPERM"))
		trouble_say(
		    t, true,
		    "%s: store.durability needs %s %s there, and the user may not look: allow it +config|get, or "
		    "set store.durability to wait or none",
		    l->node->name, name, want);
	if (!r)
		return false;
	is = r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->type == REDIS_REPLY_STRING &&
	     strcmp(r->element[1]->str, want) == 0;
	freeReplyObject(r);
	if (!is)
		trouble_say(t, true,
			    "%s: store.durability needs %s %s there: set it, or set store.durability to wait (with a "
			    "replica) or none",
			    l->node->name, name, want);
	return is;
}

static bool functions_load(const struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	struct slice load[] = {SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), slice_of(s->source)};
	int there = functions_there(l, deadline, t, s->library);
	redisReply *r;

	if (there != 0)
		return there == 1;
	r = link_call(l, deadline, t, ARRAY_LEN(load), load);
	if (r)
		freeReplyObject(r);
	return r;
}

/* The functions run with the rights of who calls them, and what they may not do is told in several ways. */
static void piece_trouble(const redisReply *r, const struct node *node, struct trouble *t)
{
	bool error = r->type == REDIS_REPLY_ERROR;
	bool rights = error && (strstr(r->str, "NOPERM") || strstr(r->str, "ACL failure") ||
				strstr(r->str, "The user executing the script"));

	trouble_say(t, rights, "%s: %.*s%s", node->name, 160, error ? r->str : "its functions answer something else",
		    rights ? ": the user needs all that deploy/valkey/snowgate.acl gives it" : "");
}

/* Every verb once, with a record that nobody looks at: may the user do all this, and does the server write? */
static bool piece_try(struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	struct store_item items[] = {
	    {.verb = STORE_CHECK, .key = s->sender},
	    {.verb = STORE_PUT, .key = s->sender, .value = SLICE("-"), .ttl_ms = 1000, .due_ms = 1000},
	    {.verb = STORE_APPEND, .key = s->sender, .number = 1, .value = SLICE("-")},
	    {.verb = STORE_EVENTS, .key = s->sender, .most = 1},
	    {.verb = STORE_GET, .key = s->sender, .out = buf_with_ceiling(1)},
	    {.verb = STORE_DUE, .most = 1},
	    {.verb = STORE_TELL, .key = ""},
	    {.verb = STORE_DEL, .key = s->sender},
	};
	struct store_work w = {.group = "0", .items = items, .n = ARRAY_LEN(items)};
	struct piece_frame f = {s->library, s->prefix, "", PIECES_MAX, ++s->sequence, INT64_C(1) << 52};
	redisReply *r;
	int64_t now = -1;

	memcpy(f.sender, s->sender, sizeof f.sender);
	piece_send(l, &f, &w);
	r = link_reply(l, deadline, t);
	if (!r)
		return false;
	enum verdict v = piece_verdict(r, &now);
	if (v != VERDICT_OK && v != VERDICT_FULL)
		piece_trouble(r, l->node, t);
	freeReplyObject(r);
	if (now >= 0)
		valkey_server_is(s, now);
	return v == VERDICT_OK || v == VERDICT_FULL;
}

static bool node_fits(struct valkey *s, struct link *l, usec_t deadline, struct trouble *t)
{
	return node_enter(s, l, deadline, t) && role_fits(s, l, deadline, t) && info_check(s, l, deadline, t) &&
	       (!durability_needs_aof(s->durability) || (config_is(l, deadline, "appendonly", "yes", t) &&
							 config_is(l, deadline, "appendfsync", "always", t))) &&
	       functions_load(s, l, deadline, t) && piece_try(s, l, deadline, t);
}

bool master_still(struct valkey *s, usec_t deadline, struct trouble *t)
{
	return s->link.c && role_fits(s, &s->link, deadline, t);
}

/* What the node's generation is, made at least `least` first; and may we read what is there? */
static bool generation_ask(struct valkey *s, struct link *l, int64_t least, usec_t deadline, struct trouble *t)
{
	char function[64], number[24];
	struct slice words[] = {SLICE("FCALL"), {function, 0}, SLICE("0"), slice_of(s->prefix), {number, 0}};
	redisReply *r;
	bool good;

	words[1].n = (size_t)snprintf(function, sizeof function, "%s_join", s->library);
	words[4].n = (size_t)snprintf(number, sizeof number, "%" PRId64, least);
	r = link_call(l, deadline, t, ARRAY_LEN(words), words);
	if (!r)
		return false;
	good = r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->type == REDIS_REPLY_INTEGER &&
	       r->element[1]->type == REDIS_REPLY_INTEGER;
	if (good) {
		valkey_server_is(s, r->element[0]->integer);
		s->generation = r->element[1]->integer;
	} else if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->type == REDIS_REPLY_STRING) {
		trouble_say(t, true,
			    "%s: what is kept there was written by a newer snowgate; run that version, or set another "
			    "store.prefix",
			    l->node->name);
	} else {
		trouble_say(t, false, "%s: its functions answer something else", l->node->name);
	}
	freeReplyObject(r);
	return good;
}

/* A node that says it is the master. */
struct candidate {
	struct link link;
	size_t at;
	int64_t generation, offset;
};

static bool candidate_open(struct valkey *s, struct candidate *c, usec_t until, struct trouble *t)
{
	c->link = (struct link){0};
	if (link_open(&c->link, &s->nodes.v[c->at], until, t) && node_fits(s, &c->link, until, t) &&
	    generation_ask(s, &c->link, 0, until, t)) {
		c->generation = s->generation;
		c->offset = s->offset;
		return true;
	}
	link_close(&c->link);
	return false;
}

static bool candidate_beats(const struct candidate *c, const struct candidate *best)
{
	return !best->link.c || c->generation > best->generation ||
	       (c->generation == best->generation && c->offset > best->offset);
}

/* The best of the nodes; all are asked, those behind the first that will do not for long. */
static struct candidate candidates_look(struct valkey *s, usec_t deadline, struct trouble *t)
{
	struct candidate best = {0}, c;

	for (size_t i = 0; i < s->nodes.n; i++) {
		struct trouble now = {0};
		usec_t begun = clock_now(), until = begun + (deadline - begun) / (usec_t)(s->nodes.n - i);

		if (begun > deadline)
			break;
		if (best.link.c && until > begun + OTHERS_MAX)
			until = begun + OTHERS_MAX;
		c.at = ((s->last < s->nodes.n ? s->last : 0) + i) % s->nodes.n;
		if (!candidate_open(s, &c, until, &now)) {
			if (!*t->text || now.final)
				*t = now;
			continue;
		}
		if (candidate_beats(&c, &best)) {
			link_close(&best.link);
			best = c;
		} else {
			link_close(&c.link);
		}
	}
	if (!best.link.c && !*t->text)
		trouble_say(t, false, "no node answered in time");
	return best;
}

bool master_find(struct valkey *s, usec_t deadline, struct trouble *t)
{
	int64_t known = s->generation;
	bool other, first = s->last == NODES_MAX;
	struct candidate best;

	link_close(&s->link);
	*t = (struct trouble){0};
	best = candidates_look(s, deadline, t);
	s->generation = known;
	if (!best.link.c)
		return false;
	other = !first && best.at != s->last;
	if (other && best.generation < known) {
		trouble_say(t, false, "%s: says it is the master, but has been replaced: make it a replica (replicaof)",
			    best.link.node->name);
	} else if (generation_ask(s, &best.link, other ? known + 1 : 0, deadline, t)) {
		if (first || other)
			log_event(LOG_INFO, "store_master", log_text("node", best.link.node->name),
				  log_number("generation", s->generation));
		s->link = best.link;
		s->last = best.at;
		return true;
	}
	s->generation = known;
	link_close(&best.link);
	return false;
}
