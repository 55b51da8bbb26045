/* doctor.h
 *
 * What the doctor's two files share: doctor.c decides what to look at and what it means, doctor_ask.c asks.
 */
#ifndef SNOWGATE_SNOWFLAKE_DOCTOR_H
#define SNOWGATE_SNOWFLAKE_DOCTOR_H

#include "internal.h"

/* The way to the host: name, connection, TLS, and what the other end thinks the time is. */
struct doctor_network {
	char addresses[256]; /* ", " between them; "" where the name has none */
	bool private_only;   /* of a private network, all of them */
	enum { NETWORK_NO_NAME, NETWORK_NO_CONNECTION, NETWORK_NO_TLS, NETWORK_FINE } reached;
	char why[256]; /* where it was not reached; no secret */
	char proxy[256];
	bool has_date;
	int64_t skew_s; /* our clock minus theirs */
};
void doctor_reach(const struct connection *connection, struct doctor_network *n);

/* One short statement: its rows, or why there are none. */
struct doctor_answer {
	struct call *call; /* holds everything below */
	bool fine;
	struct reading reading; /* where it is not */
	const struct cells *cells;
};
/* Waits for it. Ended with doctor_forget(). `role` and `warehouse` may be NULL. */
void doctor_ask(const struct conf *conf, const struct policy *policy, const struct principal *who, const char *role,
		const char *warehouse, const char *sql, struct doctor_answer *answer);
void doctor_forget(struct doctor_answer *answer);
/* The text of a cell in the column of this name; NULL for NULL, or where there is none. */
const char *doctor_cell(const struct doctor_answer *answer, size_t row, const char *column);

#endif
