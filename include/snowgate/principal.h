/* principal.h
 *
 * Who calls. Two principals are the same when kind, issuer and subject are; rotating an API key keeps its name, and so
 * its sessions. Copied by value; texts have fixed ceilings so that a principal never needs an allocation.
 */
#ifndef SNOWGATE_PRINCIPAL_H
#define SNOWGATE_PRINCIPAL_H

#include "snowgate/json.h"

enum principal_kind { PRINCIPAL_NONE, PRINCIPAL_LOCAL, PRINCIPAL_KEY, PRINCIPAL_TOKEN };

struct principal {
	enum principal_kind kind;
	char issuer[128];  /* OAuth issuer; "" otherwise */
	char subject[128]; /* API key name, OAuth sub; "local" where auth.mode is none */
	char group[64];    /* "" where none */
};

bool principal_equal(const struct principal *a, const struct principal *b);
/* Appends kind, issuer and subject, each preceded by its length (one byte kind, then two bytes big-endian per text):
 * no two principals have the same bytes. What HMACs are made over. */
bool principal_encode(struct buf *b, const struct principal *p);
/* As records of the store name it: {kind, issuer?, subject?, group?}. */
json_t *principal_json(const struct principal *p);
/* False: it is none, or a text does not fit; *p is of no use then. */
bool principal_from_json(struct principal *p, const json_t *o) MUST_USE;

#endif
