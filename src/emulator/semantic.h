/* semantic.h
 *
 * Semantic views. Their parts are rows of "_SF"."main"."_SF_SEMANTIC": expressions are Snowflake SQL in which every
 * column carries the alias of its table and every named fact, dimension or metric has been put in its place.
 */
#ifndef SNOWGATE_EMULATOR_SEMANTIC_H
#define SNOWGATE_EMULATOR_SEMANTIC_H

#include "rewriter.h"

enum semantic_kind { SEMANTIC_TABLE, SEMANTIC_RELATIONSHIP, SEMANTIC_FACT, SEMANTIC_DIMENSION, SEMANTIC_METRIC };

/* CREATE and DROP SEMANTIC VIEW; name_at is the token behind the words. */
void create_semantic_view(struct rewriter *r, int name_at, bool replace, bool if_not_exists);
void drop_semantic_view(struct rewriter *r, int name_at, bool if_exists);

#endif
