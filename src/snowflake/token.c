/* Tokens for Snowflake: a JWT minted from the key, a PAT or OAuth token from the configuration or its file; one cache.
 */
#include "internal.h"

#include "snowgate/crypt.h"
#include "snowgate/wheel.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	JWT_LIFE_S = 55 * 60, /* Snowflake takes at most an hour (B.1) */
	JWT_RENEW_S = JWT_LIFE_S * 4 / 5,
	TOKENS_MAX = 64,
	FILE_MAX = 64 * 1024
};

/* When a file was last as it was read. */
struct stamp {
	struct timespec changed;
	off_t size;
	ino_t inode;
};

/* owner: SNOWFLAKE. One connection's token, found by everything that it is made of: after a reload the same connection
 * finds its token again, a changed one does not. */
struct token {
	struct sha256 id;
	uint64_t used;
	struct buf bearer;
	int64_t minted; /* wall seconds */
	bool refused;
	struct stamp stamp;
	struct rsa_key *key;
};
static struct token tokens[TOKENS_MAX]; /* owner: SNOWFLAKE */
static uint64_t token_uses;

static bool stamp_of(const char *path, struct stamp *stamp)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	*stamp = (struct stamp){st.st_mtim, st.st_size, st.st_ino};
	return true;
}

static bool stamp_is(const struct stamp *a, const struct stamp *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->size == b->size && a->inode == b->inode;
}

/* The whole file, at most FILE_MAX bytes; the stamp is of before the reading, so that a change meanwhile is seen. */
static bool read_file(const char *path, struct buf *b, struct stamp *stamp)
{
	char piece[4096];
	ssize_t n = -1;
	int fd;

	if (!stamp_of(path, stamp) || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	while ((n = read(fd, piece, sizeof piece)) > 0 && buf_add(b, piece, (size_t)n))
		;
	(void)close(fd);
	crypt_wipe(piece, sizeof piece);
	return n == 0 && !buf_failed(b);
}

static void wipe(struct buf *b)
{
	if (b->data)
		crypt_wipe(b->data, b->n);
	buf_free(b);
}

static void add_upper(struct buf *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)toupper((unsigned char)text[i]));
}

bool token_subject(struct buf *b, const char *account, const char *user)
{
	size_t n = strcspn(account, strcasestr(account, ".global") ? "-" : ".");

	add_upper(b, account, n);
	buf_addc(b, '.');
	add_upper(b, user, strlen(user));
	return !buf_failed(b);
}

static const char *key_fault(enum key_verdict v)
{
	switch (v) {
	case KEY_OK:
		break;
	case KEY_NOT_PEM:
		return "the private key is not a PEM file";
	case KEY_NEEDS_PASSPHRASE:
		return "the private key is encrypted and private_key_passphrase is not set";
	case KEY_WRONG_PASSPHRASE:
		return "private_key_passphrase does not open the private key";
	case KEY_NOT_RSA:
		return "the private key is not an RSA key";
	case KEY_TOO_SHORT:
		return "the private key is shorter than 2048 bits";
	}
	return NULL;
}

static int load_key(const struct connection *connection, struct rsa_key **key, struct stamp *stamp, const char **why)
{
	struct buf pem = buf_with_ceiling(FILE_MAX);
	enum key_verdict verdict;

	memset(stamp, 0, sizeof *stamp);
	if (!connection->private_key_file && connection->private_key_raw)
		buf_adds(&pem, connection->private_key_raw);
	else if (!connection->private_key_file || !read_file(connection->private_key_file, &pem, stamp)) {
		wipe(&pem);
		*why = "private_key_file cannot be read";
		return ERR_UPSTREAM_AUTH;
	}
	verdict = rsa_key_load(buf_slice(&pem), connection->private_key_passphrase, key);
	wipe(&pem);
	*why = key_fault(verdict);
	return verdict == KEY_OK ? ERR_OK : ERR_UPSTREAM_AUTH;
}

static int sign(struct buf *b, const struct rsa_key *key, const struct connection *connection, int64_t now,
		int64_t life_s, const char **why)
{
	struct buf subject = buf_with_ceiling(1024), payload = buf_with_ceiling(4096);
	char fingerprint[52];
	bool fine;

	rsa_key_fingerprint(key, fingerprint);
	fine =
	    connection->account && connection->user && token_subject(&subject, connection->account, connection->user);
	buf_adds(&payload, "{\"sub\":");
	json_write_string(&payload, buf_text(&subject), subject.n);
	buf_addf(&subject, ".%s", fingerprint);
	buf_adds(&payload, ",\"iss\":");
	json_write_string(&payload, buf_text(&subject), subject.n);
	buf_addf(&payload, ",\"iat\":%lld,\"exp\":%lld}", (long long)now, (long long)(now + life_s));
	fine = fine && !buf_failed(&payload) &&
	       rsa_jwt_sign(key, SLICE("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), buf_slice(&payload), b);
	buf_free(&subject);
	buf_free(&payload);
	if (!fine)
		*why = "account and user must be set to sign with a private key";
	return fine ? ERR_OK : ERR_UPSTREAM_AUTH;
}

int token_jwt(struct buf *b, const struct connection *connection, int64_t now, int64_t life_s, const char **why)
{
	struct rsa_key *key = NULL;
	struct stamp stamp;
	int err = load_key(connection, &key, &stamp, why);

	if (err)
		return err;
	err = sign(b, key, connection, now, life_s, why);
	rsa_key_free(key);
	return err;
}

/* ---- the cache ---- */

static void token_forget(struct token *t)
{
	wipe(&t->bearer);
	rsa_key_free(t->key);
	memset(t, 0, sizeof *t);
}

void token_forget_all(void)
{
	for (size_t i = 0; i < TOKENS_MAX; i++)
		if (tokens[i].used)
			token_forget(&tokens[i]);
}

static struct sha256 token_id(const struct connection *connection)
{
	const char *const parts[] = {connection->account,
				     connection->user,
				     connection->host,
				     connection->private_key_file,
				     connection->private_key_raw,
				     connection->private_key_passphrase,
				     connection->token,
				     connection->token_file};
	struct buf b = buf_with_ceiling(1024 * 1024);
	struct sha256 id;

	buf_addc(&b, (char)('0' + (int)connection->auth));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_addf(&b, "%zu:%s", parts[i] ? strlen(parts[i]) : 0, parts[i] ? parts[i] : "");
	id = crypt_sha256(b.data, b.n);
	wipe(&b);
	return id;
}

/* The connection's place in the cache; a new one takes the longest unused. */
static struct token *token_of(const struct connection *connection)
{
	struct sha256 id = token_id(connection);
	struct token *oldest = &tokens[0];

	for (size_t i = 0; i < TOKENS_MAX; i++) {
		if (tokens[i].used && crypt_equal(&tokens[i].id, &id, sizeof id)) {
			tokens[i].used = ++token_uses;
			return &tokens[i];
		}
		if (tokens[i].used < oldest->used)
			oldest = &tokens[i];
	}
	if (oldest->used)
		token_forget(oldest);
	*oldest = (struct token){.id = id, .used = ++token_uses, .bearer = buf_with_ceiling(FILE_MAX)};
	return oldest;
}

static int refresh_jwt(struct token *t, const struct connection *connection, const char **why)
{
	int64_t now = clock_wall(), age = now - t->minted;
	struct stamp stamp;
	bool changed = t->key && connection->private_key_file && stamp_of(connection->private_key_file, &stamp) &&
		       !stamp_is(&stamp, &t->stamp);
	struct rsa_key *key = NULL;

	if (t->bearer.n && !t->refused && !changed && age >= -60 && age < JWT_RENEW_S)
		return ERR_OK;
	if (!t->key || changed) {
		int err = load_key(connection, &key, &stamp, why);
		if (err)
			return err;
		rsa_key_free(t->key);
		t->key = key;
		t->stamp = stamp;
	}
	wipe(&t->bearer);
	t->minted = now;
	t->refused = false;
	return sign(&t->bearer, t->key, connection, now, JWT_LIFE_S, why);
}

static int refresh_file(struct token *t, const struct connection *connection, const char **why)
{
	struct buf fresh = buf_with_ceiling(FILE_MAX);
	struct stamp stamp;
	struct slice text;

	if (stamp_of(connection->token_file, &stamp) && stamp_is(&stamp, &t->stamp) && t->bearer.n)
		return ERR_OK;
	if (!read_file(connection->token_file, &fresh, &stamp)) {
		wipe(&fresh);
		*why = "token_file cannot be read";
		return t->bearer.n ? ERR_OK : ERR_UPSTREAM_AUTH;
	}
	while (fresh.n && isspace((unsigned char)fresh.data[fresh.n - 1]))
		fresh.n--;
	text = slice_trim(buf_slice(&fresh));
	wipe(&t->bearer);
	buf_add(&t->bearer, text.data ? text.data : "", text.n);
	wipe(&fresh);
	t->stamp = stamp;
	t->refused = false;
	*why = "token_file is empty";
	return t->bearer.n ? ERR_OK : ERR_UPSTREAM_AUTH;
}

static int refresh_given(struct token *t, const struct connection *connection, const char **why)
{
	if (!t->bearer.n && connection->token)
		buf_adds(&t->bearer, connection->token);
	*why = "token is not set";
	return t->bearer.n ? ERR_OK : ERR_UPSTREAM_AUTH;
}

/* A line break in a token would forge a header. */
static bool is_header_text(const struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->data[i] <= ' ' || (unsigned char)b->data[i] > '~')
			return false;
	return true;
}

int token_get(const struct connection *connection, struct token_view *view, const char **why)
{
	static const char *const types[] = {
	    [CONNECTION_KEY_PAIR] = "KEYPAIR_JWT",
	    [CONNECTION_PAT] = "PROGRAMMATIC_ACCESS_TOKEN",
	    [CONNECTION_OAUTH] = "OAUTH",
	};
	struct token *t = token_of(connection);
	int err = connection->auth == CONNECTION_KEY_PAIR ? refresh_jwt(t, connection, why)
		  : connection->token_file                ? refresh_file(t, connection, why)
							  : refresh_given(t, connection, why);

	if (!err && !is_header_text(&t->bearer)) {
		*why = "the token holds characters that no token has";
		err = ERR_UPSTREAM_AUTH;
	}
	*view = (struct token_view){err ? NULL : buf_text(&t->bearer), types[connection->auth]};
	return err;
}

bool token_renew(const struct connection *connection)
{
	struct token *t = token_of(connection);
	struct stamp stamp;

	if (connection->auth == CONNECTION_KEY_PAIR) {
		/* Several calls may find out at once: what was minted this second is not minted again. */
		t->refused = t->minted != clock_wall();
		return true;
	}
	return connection->token_file && stamp_of(connection->token_file, &stamp) && !stamp_is(&stamp, &t->stamp);
}
