/* Translates what DuckDB says into what Snowflake would have said. */
#include "errors.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "lex.h"

void set_failure(struct failure *failure, const char *code, const char *sqlstate, const char *format, ...)
{
	va_list args;

	snprintf(failure->code, sizeof failure->code, "%s", code);
	snprintf(failure->sqlstate, sizeof failure->sqlstate, "%s", sqlstate);
	va_start(args, format);
	vsnprintf(failure->message, sizeof failure->message, format, args);
	va_end(args);
}

/* The text between the first `quote` after `lead` and the next one; false when there is none. */
static bool quoted_part(const char *message, const char *lead, char quote, char *out, size_t size)
{
	const char *from = strstr(message, lead), *to;

	from = from ? strchr(from, quote) : NULL;
	to = from ? strchr(from + 1, quote) : NULL;
	if (!to)
		return false;
	snprintf(out, size, "%.*s", (int)(to - from - 1), from + 1);
	return true;
}

/* Where the statement names `name` first. */
static void find_position(const char *text, const char *name, int *line, int *column)
{
	struct tokens tokens;
	char found[PLAN_NAME_MAX];

	*line = 1;
	*column = 0;
	lex_sql(text, strlen(text), &tokens);
	for (int i = 0; i < tokens.n; i++) {
		const struct token *t = &tokens.items[i];

		if (token_is_name(t))
			token_name(t, found, sizeof found);
		else
			snprintf(found, sizeof found, "%.*s", (int)(t->n < 200 ? t->n : 200), t->text);
		if (strcasecmp(found, name))
			continue;
		token_position(&tokens, t, line, column);
		break;
	}
	lex_free(&tokens);
}

static void upper(char *text)
{
	for (; *text; text++)
		*text = (char)toupper((unsigned char)*text);
}

/* The word as the statement spells it. */
static void as_written(const char *text, char *word, size_t size)
{
	const char *at = strcasestr(text, word);
	size_t n = strlen(word);

	if (at)
		snprintf(word, size, "%.*s", (int)n, at);
}

static void syntax_error(const char *message, const char *text, struct failure *f)
{
	char word[256] = "<EOF>";
	struct tokens tokens;
	int line, column;

	if (quoted_part(message, "at or near ", '"', word, sizeof word)) {
		find_position(text, word, &line, &column);
		as_written(text, word, sizeof word);
	} else {
		lex_sql(text, strlen(text), &tokens);
		token_position(&tokens, &tokens.items[tokens.n], &line, &column);
		lex_free(&tokens);
	}
	set_failure(f, "001003", "42000",
		    "SQL compilation error:\nsyntax error line %d at position %d unexpected '%s'.", line, column, word);
}

/* Referenced update column NAME not found */
static bool update_column(const char *message, char *name, size_t size)
{
	static const char LEAD[] = "Referenced update column ";
	const char *at = strstr(message, LEAD);

	if (!at)
		return false;
	at += strlen(LEAD);
	snprintf(name, size, "%.*s", (int)strcspn(at, " \n"), at);
	return true;
}

/* True when the message names a thing that was not found. */
static bool missing_name(const char *message, const char *text, struct failure *f)
{
	char name[300];
	int line, column;

	bool no_join = strstr(message, "side of join") != NULL;

	if ((no_join && quoted_part(message, "Column ", '"', name, sizeof name)) ||
	    quoted_part(message, "Referenced column ", '"', name, sizeof name) ||
	    quoted_part(message, "Referenced table ", '"', name, sizeof name) ||
	    quoted_part(message, "does not have a column named ", '"', name, sizeof name) ||
	    quoted_part(message, "not found in FROM clause", '"', name, sizeof name) ||
	    quoted_part(message, "does not have a column with name ", '"', name, sizeof name) ||
	    update_column(message, name, sizeof name)) {
		if (!strncmp(name, "_", 1) && !strcmp(name, "_seq")) {
			set_failure(f, "000002", "0A000",
				    "Unsupported feature 'SEQ functions outside of TABLE(GENERATOR(...))'.");
			return true;
		}
		find_position(text, name, &line, &column);
		set_failure(f, "000904", "42000",
			    "SQL compilation error: error line %d at position %d\ninvalid identifier '%s'", line,
			    column, name);
		return true;
	}
	if (quoted_part(message, "Ambiguous reference to column name ", '"', name, sizeof name)) {
		set_failure(f, "002028", "42601", "SQL compilation error:\nambiguous column name '%s'", name);
		return true;
	}
	if (strstr(message, "must appear in the GROUP BY clause") &&
	    quoted_part(message, "column ", '"', name, sizeof name)) {
		set_failure(f, "000979", "42601", "SQL compilation error:\n'[%s]' is not a valid group by expression",
			    name);
		return true;
	}
	return false;
}

static bool wrong_arguments(const char *message, struct failure *f)
{
	char call[256], *end;

	if (!strstr(message, "No function matches") && !strstr(message, "Could not choose a best candidate") &&
	    !strstr(message, "does not support the supplied arguments"))
		return false;
	if (!quoted_part(message, "argument types ", '\'', call, sizeof call) &&
	    !quoted_part(message, "function call ", '"', call, sizeof call))
		snprintf(call, sizeof call, "this function");
	end = strchr(call, '(');
	if (end && end[1] == ')') {
		upper(call);
		set_failure(
		    f, "000938", "22023",
		    "SQL compilation error: error line 1 at position 0\nnot enough arguments for function [%s], "
		    "expected 1, got 0",
		    strncmp(call, "_SF_", 4) ? call : call + 4);
		return true;
	}
	if (end)
		*end = '\0';
	upper(call);
	set_failure(f, "001044", "42P13", "SQL compilation error:\nInvalid argument types for function '%s'",
		    strncmp(call, "_SF_", 4) ? call : call + 4);
	return true;
}

static void binder_error(const char *message, const char *text, struct failure *f)
{
	int columns, values;
	const char *at;

	if (missing_name(message, text, f) || wrong_arguments(message, f))
		return;
	at = strstr(message, " has ");
	if (at && strstr(message, "values were supplied") && (at = strpbrk(at, "0123456789"))) {
		columns = (int)strtol(at, NULL, 10);
		at = strstr(at, "but ");
		values = at ? (int)strtol(at + 4, NULL, 10) : 0;
		set_failure(
		    f, "002020", "21S01",
		    "SQL compilation error:\nInsert value list does not match column list expecting %d but got %d",
		    columns, values);
		return;
	}
	if (strstr(message, "same number of result columns")) {
		set_failure(f, "001789", "42601",
			    "SQL compilation error:\ninvalid number of result columns for set operator input branches");
		return;
	}
	if (strstr(message, "WHERE clause cannot contain aggregates")) {
		set_failure(f, "002076", "42601", "SQL compilation error:\nInvalid aggregate function in where clause");
		return;
	}
	if (strstr(message, "Conversion Error") || strstr(message, "Unimplemented type for cast"))
		set_failure(f, "100038", "22018", "Value cannot be converted to the type asked for");
	else
		set_failure(f, "002000", "42601", "SQL compilation error:\n%.*s", (int)strcspn(message, "\n"), message);
}

static void conversion_error(const char *message, struct failure *f)
{
	char value[512] = "";

	if (!quoted_part(message, "string ", '\'', value, sizeof value) &&
	    !quoted_part(message, "string ", '"', value, sizeof value))
		quoted_part(message, ": ", '"', value, sizeof value);
	if (strstr(message, "date field") || strstr(message, "DATE"))
		set_failure(f, "100040", "22007", "Date '%s' is not recognized", value);
	else if (strstr(message, "timestamp") || strstr(message, "parse string") || strstr(message, "TimeZone"))
		set_failure(f, "100035", "22007", "Timestamp '%s' is not recognized", value);
	else if (strstr(message, "time field"))
		set_failure(f, "100108", "22007", "Time '%s' is not recognized", value);
	else if (strstr(message, "BOOL"))
		set_failure(f, "100037", "22018", "Boolean value '%s' is not recognized", value);
	else if (strstr(message, "JSON") || strstr(message, "json"))
		set_failure(f, "100069", "22P02", "Error parsing JSON: %s", value);
	else if (strstr(message, "out of range") || strstr(message, "Could not cast value") ||
		 strstr(message, "Out of Range"))
		set_failure(f, "100039", "22003", "Numeric value is out of range");
	else if (strstr(message, "legal hex-encoded"))
		set_failure(f, "100115", "22000", "%.*s", (int)strcspn(message, "\n"),
			    strstr(message, "The following"));
	else
		set_failure(f, "100038", "22018", "Numeric value '%s' is not recognized", value);
}

/* What the regular expressions' parser says of a pattern. */
static bool is_pattern_error(const char *message)
{
	static const char *const WORDS[] = {"missing )",
					    "missing ]",
					    "unexpected )",
					    "no argument for repetition",
					    "invalid escape sequence",
					    "bad repetition operator",
					    "invalid perl operator",
					    "invalid character class",
					    "trailing \\"};

	for (size_t k = 0; k < ARRAY_LEN(WORDS); k++)
		if (strstr(message, WORDS[k]))
			return true;
	return false;
}

static void catalog_error(const char *message, const char *text, struct failure *f)
{
	char name[300] = "";

	if (strstr(message, "already exists") && quoted_part(message, "with name ", '"', name, sizeof name)) {
		set_failure(f, "002002", "42710", "SQL compilation error:\nObject '%s' already exists.", name);
	} else if (strstr(message, "Column with name") && strstr(message, "already exists")) {
		set_failure(f, "002025", "42S21", "SQL compilation error:\nduplicate column name");
	} else if (strstr(message, "Function with name")) {
		const char *at = strstr(message, "with name ") + strlen("with name ");

		snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " \n"), at);
		upper(name);
		set_failure(f, "002140", "42601", "SQL compilation error:\nUnknown function %s",
			    strncmp(name, "_SF_", 4) ? name : name + 4);
	} else if (!missing_name(message, text, f)) {
		const char *at = strstr(message, "with name ");

		snprintf(name, sizeof name, "%.*s", at ? (int)strcspn(at + 10, " \n!") : 0, at ? at + 10 : "");
		set_failure(f, "002003", "42S02",
			    "SQL compilation error:\nObject '%s' does not exist or not authorized.", name);
	}
}

static const char *without_prefix(const char *message)
{
	const char *colon = strstr(message, "Error: ");

	return colon ? colon + 7 : message;
}

void translate_error(duckdb_error_type type, const char *message, const char *text, struct failure *f)
{
	message = message ? message : "";
	if (type == DUCKDB_ERROR_INTERRUPT || !strncmp(message, "INTERRUPT", 9)) {
		set_failure(f, "000604", "57014", "SQL execution canceled");
	} else if (strstr(message, "Division by zero")) {
		set_failure(f, "100051", "22012", "Division by zero");
	} else if (strstr(message, "Unsupported feature")) {
		set_failure(f, "000002", "0A000", "%.*s.", (int)strcspn(without_prefix(message), "\n"),
			    without_prefix(message));
	} else if (strstr(message, "does not exist or not authorized")) {
		set_failure(f, "002003", "42S02", "SQL compilation error:\n%.*s",
			    (int)strcspn(without_prefix(message), "\n"), without_prefix(message));
	} else if (!strncmp(message, "Parser Error", 12) || !strncmp(message, "Syntax Error", 12)) {
		syntax_error(message, text, f);
	} else if (!strncmp(message, "Catalog Error", 13)) {
		catalog_error(message, text, f);
	} else if (!strncmp(message, "Binder Error", 12)) {
		binder_error(without_prefix(message), text, f);
	} else if (!strncmp(message, "Conversion Error", 16)) {
		conversion_error(without_prefix(message), f);
	} else if (!strncmp(message, "Invalid Input Error", 19) && strstr(message, "Could not parse string")) {
		conversion_error(without_prefix(message), f);
	} else if (!strncmp(message, "Invalid Input Error", 19) && is_pattern_error(message)) {
		set_failure(f, "100048", "2201B", "Invalid regular expression: %.*s",
			    (int)strcspn(without_prefix(message), "\n"), without_prefix(message));
	} else if (!strncmp(message, "Out of Range Error", 18) || strstr(message, "out of representable range")) {
		set_failure(f, "100039", "22003", "Numeric value is out of range");
	} else if (!strncmp(message, "Constraint Error", 16)) {
		set_failure(f, "100072", "22000", "NULL result in a non-nullable column");
	} else {
		set_failure(f, "100183", "P0000", "%.*s", (int)strcspn(without_prefix(message), "\n"),
			    without_prefix(message));
	}
}
