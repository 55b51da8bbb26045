/* Small readers over the token list: comma lists, qualified names, keywords, CTE names. */
#include "rewriter.h"

#include <string.h>

static const char KEYWORDS[] =
    "|SELECT|FROM|WHERE|GROUP|ORDER|BY|HAVING|QUALIFY|LIMIT|OFFSET|UNION|ALL|EXCEPT|INTERSECT|MINUS|AS|ON|USING|JOIN|"
    "INNER|LEFT|RIGHT|FULL|OUTER|CROSS|LATERAL|NATURAL|AND|OR|NOT|IN|IS|LIKE|ILIKE|BETWEEN|CASE|WHEN|THEN|ELSE|"
    "DISTINCT|WITH|RECURSIVE|VALUES|SET|INTO|UPDATE|DELETE|INSERT|MERGE|OVER|PARTITION|ROWS|RANGE|ASC|DESC|NULLS|"
    "EXISTS|ANY|ESCAPE|RLIKE|REGEXP|FETCH|TOP|PIVOT|UNPIVOT|FOR|ASOF|SAMPLE|TABLESAMPLE|FILTER|WITHIN|RETURNING|"
    "MATCHED|INTERVAL|SETS|EXCLUDE|RENAME|REPLACE|WINDOW|END|NULL|TRUE|FALSE|";

bool is_keyword(const struct token *t)
{
	return token_in(t, KEYWORDS);
}

void split_items(const struct rewriter *r, int from, int to, struct items *items)
{
	int start = from;

	items->n = 0;
	for (int i = from; i <= to && from < to; i++) {
		if (i == to || token_is_op(&r->t[i], ",")) {
			if (items->n == REWRITER_ITEMS_MAX) {
				plan_unsupported(r->plan, "lists of more than 1024 items");
				return;
			}
			items->from[items->n] = start;
			items->to[items->n++] = i;
			start = i + 1;
		} else if (r->t[i].mate > i) {
			i = r->t[i].mate;
		}
	}
}

void parse_name(const struct rewriter *r, int i, struct name *name)
{
	name->parts = 0;
	name->first = i;
	name->next = i;
	while (name->parts < 3 && token_is_name(&r->t[i])) {
		token_name(&r->t[i], name->part[name->parts++], PLAN_NAME_MAX);
		name->next = i + 1;
		if (!token_is_op(&r->t[i + 1], "."))
			return;
		i += 2;
		if (token_is_op(&r->t[i], ".") && name->parts == 1) { /* db..table */
			memcpy(name->part[name->parts++], "PUBLIC", sizeof "PUBLIC");
			i++;
		}
	}
}

bool names_cte(const struct rewriter *r, const char *name)
{
	char other[PLAN_NAME_MAX];

	for (int i = 1; i < r->tokens.n; i++) {
		int as = i + 1;

		if (!token_is_name(&r->t[i]) ||
		    !(token_in(&r->t[i - 1], "|WITH|RECURSIVE|") || token_is_op(&r->t[i - 1], ",")))
			continue;
		if (token_is_op(&r->t[as], "(") && r->t[as].mate > as)
			as = r->t[as].mate + 1;
		if (!token_is(&r->t[as], "AS") || !token_is_op(&r->t[as + 1], "("))
			continue;
		token_name(&r->t[i], other, sizeof other);
		if (!strcmp(other, name))
			return true;
	}
	return false;
}

void fail_at(struct rewriter *r, const struct token *t)
{
	int line, column;

	token_position(&r->tokens, t, &line, &column);
	plan_fail(r->plan, "001003", "42000",
		  "SQL compilation error:\nsyntax error line %d at position %d unexpected '%.*s'.", line, column,
		  t->n ? (int)(t->n > 100 ? 100 : t->n) : 5, t->n ? t->text : "<EOF>");
}
