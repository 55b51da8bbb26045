/* What processes tell one another: a subscription at the master. It may miss some; nobody relies on it. */
#include "valkey.h"

#include <stdio.h>
#include <string.h>

#include "snowgate/wheel.h"

#define BACKOFF_FIRST (100 * USEC_PER_MS)
#define BACKOFF_LAST  (2 * USEC_PER_S)
#define PING_EVERY    (5 * USEC_PER_S)
#define SILENCE_MAX   (15 * USEC_PER_S)
#define OPEN_MAX      USEC_PER_S

static bool text_is(const redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING && strcmp(r->str, text) == 0;
}

bool tell_message(const redisReply *r, const char *prefix, const char *sender, const char **channel,
		  struct slice *value)
{
	size_t n = strlen(prefix), own = SENDER_SIZE - 1;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 4 || !text_is(r->element[0], "pmessage") ||
	    r->element[2]->type != REDIS_REPLY_STRING || r->element[3]->type != REDIS_REPLY_STRING ||
	    r->element[3]->len < own || strncmp(r->element[2]->str, prefix, n) != 0 ||
	    strncmp(r->element[2]->str + n, "tell:", 5) != 0 || memcmp(r->element[3]->str, sender, own) == 0)
		return false;
	*channel = r->element[2]->str + n + 5;
	*value = (struct slice){r->element[3]->str + own, r->element[3]->len - own};
	return **channel;
}

static bool tell_open(struct valkey *s)
{
	usec_t deadline = clock_now() + (s->timeout < OPEN_MAX ? s->timeout : OPEN_MAX);
	char pattern[128];
	struct slice words[] = {SLICE("PSUBSCRIBE"), {pattern, 0}};
	struct trouble t;
	redisReply *r = NULL;

	words[1].n = (size_t)snprintf(pattern, sizeof pattern, "%stell:*", s->prefix);
	if (link_open(&s->tell, s->link.node, deadline, &t) && node_enter(s, &s->tell, deadline, &t))
		r = link_call(&s->tell, deadline, &t, ARRAY_LEN(words), words);
	if (r) {
		freeReplyObject(r);
		return true;
	}
	link_close(&s->tell);
	return false;
}

static void tell_reopen(struct valkey *s, usec_t now)
{
	if (!s->link.c || now < s->tell_at)
		return;
	if (tell_open(s)) {
		s->tell_backoff = BACKOFF_FIRST;
		s->pinged = now;
		return;
	}
	s->tell_at = now + s->tell_backoff;
	s->tell_backoff = 2 * s->tell_backoff > BACKOFF_LAST ? BACKOFF_LAST : 2 * s->tell_backoff;
}

static void tell_hear(struct valkey *s)
{
	const char *channel;
	struct slice value;
	redisReply *r;

	while ((r = link_heard(&s->tell))) {
		if (tell_message(r, s->prefix, s->sender, &channel, &value))
			s->ops->heard(channel, value);
		freeReplyObject(r);
	}
}

void tell_upkeep(struct valkey *s)
{
	usec_t now = clock_now();
	bool good = true;

	if (s->tell.c && s->link.c && s->tell.node != s->link.node)
		tell_close(s); /* the master is another one now */
	if (!s->tell.c)
		tell_reopen(s, now);
	if (!s->tell.c)
		return;
	if (now - s->pinged >= PING_EVERY) {
		link_say(&s->tell, "PING");
		s->pinged = now;
	}
	good = link_poll(&s->tell);
	if (good)
		tell_hear(s);
	if (!good || s->tell.c->err || now - s->tell.used > SILENCE_MAX)
		tell_close(s);
}

void tell_close(struct valkey *s)
{
	link_close(&s->tell);
	s->tell_backoff = BACKOFF_FIRST;
	s->tell_at = clock_now();
}
