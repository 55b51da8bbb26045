/* toml.h
 *
 * A reader of TOML 1.0 as Snowflake's own files use it: tables, arrays of tables, dotted and quoted keys, texts of all
 * four kinds, inline tables, arrays, comments. Numbers, dates and booleans are checked for their form only and kept as
 * they are written. Pure: bytes in, tree out.
 */
#ifndef SNOWGATE_CORE_TOML_H
#define SNOWGATE_CORE_TOML_H

#include "conf_internal.h"

/* A map in the load's scratch memory, or NULL and a fault with its line. `file` must outlive the tree. */
struct node *toml_parse(struct loading *l, struct slice text, const char *file);

#endif
