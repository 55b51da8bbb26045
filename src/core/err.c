/* The table of errors. */
#include "snowgate/err.h"

static const struct err_info table[ERRS_N] = {
#define ERR(name, text, http, legacy, modern, retryable) {#name, text, http, legacy, modern, retryable},
#include "snowgate/tbl/err.def"
#undef ERR
};

const struct err_info *err_info(enum err e)
{
	return &table[(unsigned)e < ERRS_N ? e : ERR_INTERNAL];
}
