/* keyring.h
 *
 * The keys of a file as the commands see them; for src/auth/ only.
 */
#ifndef SNOWGATE_AUTH_KEYRING_H
#define SNOWGATE_AUTH_KEYRING_H

#include "snowgate/auth.h"
#include "snowgate/crypt.h"

enum { KEY_NAME_MAX = 64, KEY_GROUP_MAX = 63, KEY_ID_LENGTH = 8, KEY_SECRET_LENGTH = 43, KEY_CHECK_LENGTH = 6 };
/* sgk_ id _ secret _ check; the check is over all that stands before its underscore. */
enum {
	KEY_ID_AT = 4,
	KEY_SECRET_AT = KEY_ID_AT + KEY_ID_LENGTH + 1,
	KEY_BODY_LENGTH = KEY_SECRET_AT + KEY_SECRET_LENGTH
};
enum { KEY_CHECK_AT = KEY_BODY_LENGTH + 1, KEY_LENGTH = KEY_CHECK_AT + KEY_CHECK_LENGTH };

#define KEY_FILE_MAX ((size_t)16 << 20)
#define KEYS_MAX     ((size_t)100000)
#define KEY_NO_TIME  INT64_MAX

struct key {
	char name[KEY_NAME_MAX + 1], group[KEY_GROUP_MAX + 1], id[KEY_ID_LENGTH + 1];
	struct sha256 hash;
	int64_t created, expires, revoked; /* wall seconds; KEY_NO_TIME where not given */
	int line;
	size_t end; /* offset in the file behind the line's last word */
};

struct keyring {
	size_t n, capacity;
	struct key *keys;         /* in the file's order */
	const struct key **by_id; /* sorted */
};

/* As keyring_load(), of text that has been read. `file` is for the faults. */
struct keyring *keyring_parse(struct slice text, const char *file, char *why, size_t why_size);
bool key_name_is_valid(struct slice name, size_t max);
void key_checksum(const char body[KEY_BODY_LENGTH], char out[KEY_CHECK_LENGTH]);

#endif
