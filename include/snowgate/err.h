/* err.h
 *
 * One space of errors for the whole program; the table is tbl/err.def. A function that can fail returns an int of it,
 * ERR_OK being 0.
 */
#ifndef SNOWGATE_ERR_H
#define SNOWGATE_ERR_H

#include <stdbool.h>

enum err {
#define ERR(name, text, http, legacy, modern, retryable) ERR_##name,
#include "snowgate/tbl/err.def"
#undef ERR
	ERRS_N
};

struct err_info {
	const char *name; /* "RATE" */
	const char *text;
	int http, rpc_legacy, rpc_modern;
	bool retryable;
};

const struct err_info *err_info(enum err e);

#endif
