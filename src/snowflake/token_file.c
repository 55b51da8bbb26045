/* Tokens that somebody else writes: given in the configuration, or in a file that is read again when it changes. */
#include "token.h"

#include "snowgate/crypt.h"
#include "snowgate/wheel.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SKEW_S = 300 };
#define LOOK_EVERY USEC_PER_S

bool stamp_of(const char *path, struct stamp *stamp)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	*stamp = (struct stamp){st.st_mtim, st.st_size, st.st_ino};
	return true;
}

bool stamp_is(const struct stamp *a, const struct stamp *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->size == b->size && a->inode == b->inode;
}

bool watch_due(struct watch *w)
{
	if (clock_now() < w->next)
		return false;
	w->next = clock_now() + LOOK_EVERY;
	return true;
}

bool watch_hurry(struct watch *w)
{
	if (clock_now() < w->hurried)
		return false;
	w->hurried = clock_now() + LOOK_EVERY;
	w->next = clock_now();
	return true;
}

static void trim(struct buf *b)
{
	size_t from = 0;

	while (b->n && isspace((unsigned char)b->data[b->n - 1]))
		b->data[--b->n] = '\0';
	while (from < b->n && isspace((unsigned char)b->data[from]))
		from++;
	if (from) {
		b->n -= from;
		memmove(b->data, b->data + from, b->n + 1);
	}
}

bool token_file_read(const char *path, struct buf *b, struct stamp *stamp)
{
	char piece[4096];
	ssize_t n = -1;
	int fd;

	if (!stamp_of(path, stamp) || (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0)
		return false;
	while ((n = read(fd, piece, sizeof piece)) > 0 && buf_add(b, piece, (size_t)n))
		;
	(void)close(fd);
	crypt_wipe(piece, sizeof piece);
	if (n != 0 || buf_failed(b))
		return false;
	trim(b);
	return true;
}

/* The form of the token in a header: workload identity says whose it is (B.4). */
static void put(struct token *t, const struct connection *connection, struct slice text)
{
	buf_wipe(&t->bearer);
	if (text.n && connection->auth == CONNECTION_WORKLOAD)
		buf_adds(&t->bearer, "WIF.OIDC.");
	buf_add(&t->bearer, text.n ? text.data : "", text.n);
	t->expires = token_expiry(text);
	token_changed(t);
}

static enum token_state read_given(struct token *t, const struct connection *connection, const char **why)
{
	if (!t->bearer.n && connection->token)
		put(t, connection, slice_of(connection->token));
	*why = "token is not set";
	return t->bearer.n ? TOKEN_READY : TOKEN_FAILED;
}

static void look(struct token *t, const struct connection *connection)
{
	struct buf fresh = buf_with_ceiling(TOKEN_BYTES_MAX);
	struct stamp stamp;

	if (stamp_of(connection->token_file, &stamp) && stamp_is(&stamp, &t->stamp) && t->bearer.n)
		return;
	t->fault = "token_file cannot be read";
	if (token_file_read(connection->token_file, &fresh, &stamp)) {
		t->fault = "token_file is empty";
		if (fresh.n)
			put(t, connection, buf_slice(&fresh));
		t->stamp = stamp;
	}
	buf_wipe(&fresh);
}

/* What was read last is used as long as the file cannot be read or is empty: it may be written at this moment. */
static enum token_state read_again(struct token *t, const struct connection *connection, const char **why)
{
	if (watch_due(&t->watch))
		look(t, connection);
	*why = t->fault;
	return t->bearer.n ? TOKEN_READY : TOKEN_FAILED;
}

enum token_state token_read(struct token *t, const struct connection *connection, const char **why)
{
	enum token_state state =
	    connection->token_file ? read_again(t, connection, why) : read_given(t, connection, why);
	char text[CLOCK_TEXT_SIZE];

	/* Snowflake would refuse it with a text that says less. */
	if (state != TOKEN_READY || !t->expires || clock_wall() < t->expires + SKEW_S)
		return state;
	clock_text(t->expires * USEC_PER_S, false, text);
	(void)snprintf(t->why, sizeof t->why, "the token in %.300s has expired at %s; %s",
		       connection->token_file ? connection->token_file : "token", text,
		       connection->token_file ? "see to what should write a new one there" : "give a new one");
	*why = t->why;
	return TOKEN_FAILED;
}
