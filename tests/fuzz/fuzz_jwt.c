/* Any bytes as what a token endpoint answers, as a JWT whose end is asked for, and as one whose signature is checked.
 */
#include <string.h>

#include "snowgate/crypt.h"
#include "snowgate/snowflake.h"

#include "../unit/snowflake/test_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was taken can stand in a header. */
static void check_text(const struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->data[i] <= ' ' || (unsigned char)b->data[i] > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice text = {(const char *)data, n};
	struct oauth_answer answer;
	int64_t expiry = token_expiry(text);

	if (oauth_answer_read(text, &answer)) {
		if (!answer.access_token.n && !answer.error[0] && !answer.description[0])
			abort();
		check_text(&answer.access_token);
		check_text(&answer.refresh_token);
	}
	if (answer.expires_in < 0 || expiry < 0)
		abort();
	oauth_answer_free(&answer);
	if (rsa_jwt_verify(slice_of(test_public_key), text) && n < 300)
		abort(); /* a signature alone is longer */
	return 0;
}
