/* The secrets of a connection: read from their files, who else may read those, keys opened once to see that they fit.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "connection.h"
#include "snowgate/crypt.h"

static bool checks_are_skipped(const struct loading *l)
{
	const char *skip = conf_getenv(l, "SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION");
	return skip && (strcasecmp(skip, "true") == 0 || strcmp(skip, "1") == 0);
}

/* A secret's file of our own is 0600 or stricter, as Snowflake's tools and ssh want it. One that belongs to somebody
 * else was put there by the system (a mounted secret), who cannot always give it to us alone: that is told only where
 * everybody may read it. */
static bool file_is_private(struct building *b, const char *path, const struct node *at, const char *key, bool mounted)
{
	struct stat st;
	if (b->l->sealed || mounted || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	unsigned mode = (unsigned)st.st_mode & 0777;
	bool ours = st.st_uid == geteuid(), skip = checks_are_skipped(b->l);
	if (mode & 022 || (ours && mode & 077 && !skip)) {
		conf_fault(
		    b->l, at, key,
		    "%s holds a secret and others may %s it (mode %03o); run: chmod 600 %s (a Kubernetes volume: "
		    "defaultMode: 0400)",
		    path, mode & 022 ? "write" : "read", mode, path);
		return false;
	}
	if (mode & 007 && !skip)
		conf_warn(b->l, at, key, "%s holds a secret and everybody may read it (mode %03o); run: chmod o= %s",
			  path, mode, path);
	return true;
}

static const char *file_take(struct building *b, const char *path, const struct node *at, const char *key, bool mounted)
{
	int error;
	struct slice text = conf_read_file(b->l, path, CONF_SECRET_BYTES, &error), whole = text;
	const char *secret = NULL;
	if (!text.data) {
		conf_fault(b->l, at, key, "cannot read %s: %s", path, conf_read_error(error));
		return NULL;
	}
	while (text.n && (text.data[text.n - 1] == '\n' || text.data[text.n - 1] == '\r'))
		text.n--;
	if (!text.n)
		conf_fault(b->l, at, key, "%s is empty; write the secret into it", path);
	else if (memchr(text.data, '\0', text.n))
		conf_fault(b->l, at, key, "%s is not a text file", path);
	else if (file_is_private(b, path, at, key, mounted))
		secret = memcpy(conf_need(b->l->arena, text.n + 1), text.data, text.n);
	secret_free(whole);
	return secret;
}

const char *secret_take(struct building *b, const char *name, const char *file_field, bool mounted)
{
	const struct node *inline_text = field_node(b, name), *file = field_node(b, file_field);
	if (inline_text && file) {
		conf_fault(b->l, file, field_place(b, file_field), "%s and %s are both given; keep one, better %s",
			   name, file_field, file_field);
		return NULL;
	}
	if (inline_text)
		return conf_keep(b->l->arena, inline_text->text);
	return file ? file_take(b, field_path(b, file_field), file, field_place(b, file_field), mounted) : NULL;
}

void token_check_text(struct building *b, const char *token, const char *field)
{
	for (const char *p = token; p && *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
			conf_fault(b->l, b->map, field_place(b, field),
				   "a token is one line of printable characters; this one holds others");
			break;
		}
}

static void key_fault(struct building *b, enum key_verdict verdict, const struct node *at, const char *field,
		      const char *what)
{
	static const char *const reasons[] = {
	    [KEY_NOT_PEM] = "is no private key in PEM form; make one with: openssl genrsa 2048 | openssl pkcs8 -topk8 "
			    "-out key.p8",
	    [KEY_NEEDS_PASSPHRASE] = "is encrypted; give its passphrase in private_key_passphrase_file",
	    [KEY_WRONG_PASSPHRASE] = "does not open with the passphrase given; correct private_key_passphrase",
	    [KEY_NOT_RSA] = "is not an RSA key; Snowflake's key-pair authentication here takes RSA only",
	    [KEY_TOO_SHORT] = "is shorter than 2048 bits, which Snowflake refuses; make a new one",
	};
	conf_fault(b->l, at, field_place(b, field), "%s %s", what, reasons[verdict]);
}

static bool key_opens(struct building *b, const char *pem, const char *passphrase, const char *file_field,
		      const char *raw_field)
{
	const struct node *file = field_node(b, file_field), *raw = field_node(b, raw_field);
	struct rsa_key *key = NULL;
	enum key_verdict verdict = rsa_key_load(slice_of(pem), passphrase, &key);
	if (verdict == KEY_OK)
		rsa_key_free(key);
	else
		key_fault(b, verdict, file ? file : raw, file ? file_field : raw_field,
			  file ? field_path(b, file_field) : "the key");
	return verdict == KEY_OK;
}

static bool second_key_take(struct building *b)
{
	struct connection *c = b->c;
	c->private_key_file_2 = field_path(b, "private_key_file_2");
	c->private_key_passphrase_2 =
	    secret_take(b, "private_key_passphrase_2", "private_key_passphrase_2_file", false);
	if (!c->private_key_passphrase_2)
		c->private_key_passphrase_2 = c->private_key_passphrase;
	c->private_key_raw_2 = secret_take(b, "private_key_raw_2", "private_key_file_2", false);
	return !c->private_key_raw_2 || key_opens(b, c->private_key_raw_2, c->private_key_passphrase_2,
						  "private_key_file_2", "private_key_raw_2");
}

bool keys_take(struct building *b)
{
	struct connection *c = b->c;
	bool fine;
	c->private_key_file = field_path(b, "private_key_file");
	c->private_key_passphrase = secret_take(b, "private_key_passphrase", "private_key_passphrase_file", false);
	c->private_key_raw = secret_take(b, "private_key_raw", "private_key_file", false);
	if (!field_node(b, "private_key_file") && !field_node(b, "private_key_raw"))
		conf_fault(b->l, b->map, field_place(b, "private_key_file"),
			   "private_key_file is missing: the RSA private key whose public half %s",
			   c->auth == CONNECTION_EXTERNAL ? "is in the security integration" : "is set on the user");
	if (!c->private_key_raw)
		return false;
	fine = key_opens(b, c->private_key_raw, c->private_key_passphrase, "private_key_file", "private_key_raw");
	return second_key_take(b) && fine;
}
