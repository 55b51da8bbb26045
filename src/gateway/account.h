/* account.h
 *
 * What the gateway keeps per principal: its rate, its running statements, its waiting calls. An account is made at a
 * principal's first request and forgotten when it is idle: nothing running, nothing waiting, its rate full again.
 * owner: NET.
 */
#ifndef SNOWGATE_GATEWAY_ACCOUNT_H
#define SNOWGATE_GATEWAY_ACCOUNT_H

#include "snowgate/call.h"

struct account {
	struct principal principal;
	usec_t tat;                 /* GCRA: theoretical arrival time of the next request; limit.h */
	int64_t calls;              /* tickets that point here */
	int64_t running;            /* slots held */
	int64_t streams;            /* open streams, downloads included */
	int64_t exports;            /* open downloads */
	int64_t asking;             /* calls that wait for its clients' answers */
	struct call *first, **last; /* waiting calls, oldest first, linked by next */
	int64_t waiting;
	uint64_t confirmed; /* the last round of reload.c in which the principal was still one */
	struct account *hash_next;
	struct account *turn_next, *turn_prev; /* ring of accounts with waiting calls; NULL outside it */
};

struct account_table;
struct account_table *account_table_new(size_t max);
void account_table_free(struct account_table *t);
/* The principal's account, made where there is none; NULL when the table is full of accounts in use. */
struct account *account_of(struct account_table *t, const struct principal *p, usec_t now);
/* The principal's account, or NULL where there is none. */
struct account *account_find(const struct account_table *t, const struct principal *p);
/* Forgets idle accounts. */
void account_sweep(struct account_table *t, usec_t now);
size_t account_count(const struct account_table *t);

#endif
