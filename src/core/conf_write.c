/* Writes configurations: the effective one as YAML, the documented defaults, faults as lines, and what differs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "conf_internal.h"
#include "snowgate/json.h"

#define MASK          "********"
#define COMMENT_WIDTH 110

static const char *const section_docs[][2] = {
    {"listen", "Where clients connect."},
    {"admin", "Probes and metrics, on a port of their own."},
    {"mcp", "Event streams, lists and questions of the protocol."},
    {"session", "Client sessions."},
    {"store", "Where sessions are kept."},
    {"snowflake", "The way to Snowflake."},
    {"cortex", "Services of Snowflake Cortex that clients may use, for the toolset cortex."},
    {"auth", "Who may call."},
    {"results", "What one answer may hold."},
    {"log", "Log lines on standard error."},
};

/* A text in double quotes, as JSON and so as YAML; ${ is kept from being read as a variable. */
bool text_write(struct buf *b, const char *text)
{
	struct buf escaped = buf_with_ceiling(2 * CONF_FILE_BYTES);
	const char *dollar;
	while ((dollar = strstr(text, "${"))) {
		buf_add(&escaped, text, (size_t)(dollar - text));
		buf_adds(&escaped, "$${");
		text = dollar + 2;
	}
	buf_adds(&escaped, text);
	bool good = !buf_failed(&escaped) && json_write_string(b, buf_text(&escaped), escaped.n);
	buf_free(&escaped);
	return good;
}

static bool write_texts(struct buf *b, struct texts t, bool (*write)(struct buf *, const char *))
{
	buf_addc(b, '[');
	for (size_t i = 0; i < t.n; i++) {
		if (i)
			buf_adds(b, ", ");
		write(b, t.v[i]);
	}
	return buf_addc(b, ']');
}

static bool write_value(struct buf *b, const struct setting *s, const void *base)
{
	const char *member = (const char *)base + s->offset;
	struct slice name;
	switch (s->type) {
	case SETTING_TEXT:
		return text_write(b, s->flags & SECRET && **(const char *const *)member ? MASK
											: *(const char *const *)member);
	case SETTING_INT:
		return buf_addf(b, "%" PRId64, *(const int64_t *)member);
	case SETTING_BOOL:
		return buf_adds(b, *(const bool *)member ? "true" : "false");
	case SETTING_TIME:
		return time_write(b, *(const int64_t *)member);
	case SETTING_SIZE:
		return size_write(b, *(const int64_t *)member);
	case SETTING_LIST:
		return write_texts(b, *(const struct texts *)member, text_write);
	case SETTING_CHOICE:
		name = choice_name(s->min, *(const int *)member);
		return buf_add(b, name.data, name.n);
	}
	return false;
}

static bool starts_section(size_t i)
{
	return i == 0 || strcmp(settings[i].section, settings[i - 1].section) != 0;
}

static bool ends_section(size_t i)
{
	return i + 1 == settings_n || starts_section(i + 1);
}

static void write_limits(struct buf *b, const struct limits *limits)
{
	buf_adds(b, "  ");
	text_write(b, limits->name);
	buf_adds(b, ": {");
	for (size_t i = 0; i < limit_settings_n; i++) {
		buf_addf(b, "%s%s: ", i ? ", " : "", limit_settings[i].key);
		write_value(b, &limit_settings[i], limits);
	}
	buf_adds(b, "}\n");
}

static void write_bits(struct buf *b, const char *key, unsigned bits, const char *const names[], size_t n)
{
	bool first = true;
	buf_addf(b, "    %s: [", key);
	for (size_t i = 0; i < n; i++) {
		if (!(bits & 1u << i))
			continue;
		buf_addf(b, "%s%s", first ? "" : ", ", names[i]);
		first = false;
	}
	buf_adds(b, "]\n");
}

static void write_list(struct buf *b, const char *key, struct texts t, bool (*write)(struct buf *, const char *))
{
	if (!t.n)
		return;
	buf_addf(b, "%s: ", key);
	write_texts(b, t, write);
	buf_addc(b, '\n');
}

static void write_policy(struct buf *b, const struct policy *p)
{
	buf_adds(b, "  - name: ");
	text_write(b, p->name);
	buf_addc(b, '\n');
	if (p->principals.n || p->groups.n)
		buf_adds(b, "    match:\n");
	write_list(b, "      principal", p->principals, text_write);
	write_list(b, "      group", p->groups, text_write);
	if (p->connection) {
		buf_adds(b, "    connection: ");
		text_write(b, p->connection->name);
		buf_addc(b, '\n');
	}
	write_list(b, "    roles", p->roles, ident_write);
	if (p->warehouse) {
		buf_adds(b, "    warehouse: ");
		ident_write(b, p->warehouse);
		buf_addc(b, '\n');
	}
	write_list(b, "    databases", p->databases, ident_write);
	write_bits(b, "statements", p->statements, statement_names, ARRAY_LEN(statement_names));
	buf_addf(b, "    %s: ", confirm_setting.key);
	write_value(b, &confirm_setting, p);
	buf_addc(b, '\n');
	write_bits(b, "toolsets", p->toolsets, toolset_names, ARRAY_LEN(toolset_names));
	write_list(b, "    cortex", p->cortex, text_write);
	buf_adds(b, "    limits: ");
	text_write(b, p->limits->name);
	buf_addc(b, '\n');
}

bool conf_write(struct buf *b, const struct conf *conf)
{
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		if (starts_section(i))
			buf_addf(b, "%s:\n", s->section);
		buf_addf(b, "  %s: ", s->key);
		write_value(b, s, conf);
		buf_addc(b, '\n');
		if (ends_section(i) && strcmp(s->section, "cortex") == 0)
			cortex_write(b, conf);
		if (!ends_section(i) || strcmp(s->section, "snowflake") != 0 || !conf->connections_n)
			continue;
		buf_adds(b, "  connections:\n");
		for (size_t c = 0; c < conf->connections_n; c++)
			connection_write(b, &conf->connections[c]);
	}
	buf_adds(b, "limits:\n");
	for (size_t i = 0; i < conf->limits_n; i++)
		write_limits(b, &conf->limits[i]);
	buf_adds(b, "policies:\n");
	for (size_t i = 0; i < conf->policies_n; i++)
		write_policy(b, &conf->policies[i]);
	return !buf_failed(b);
}

/* `text` as comment lines of at most COMMENT_WIDTH bytes, broken at blanks. */
static void write_comment(struct buf *b, const char *indent, const char *text)
{
	while (*text) {
		size_t n = strlen(text);
		if (n > COMMENT_WIDTH)
			for (n = COMMENT_WIDTH; n > 1 && text[n] != ' '; n--)
				;
		buf_addf(b, "%s# %.*s\n", indent, (int)n, text);
		for (text += n; *text == ' '; text++)
			;
	}
}

static void write_bounds(struct buf *b, const struct setting *s)
{
	static const char *const kinds[] = {
	    [SETTING_TEXT] = "Text of at most",
	    [SETTING_INT] = "Whole number from",
	    [SETTING_BOOL] = "true or false",
	    [SETTING_TIME] = "Time (ms s m h d) from",
	    [SETTING_SIZE] = "Size (B KiB MiB GiB) from",
	    [SETTING_LIST] = "List of at most",
	    [SETTING_CHOICE] = "One of",
	};
	struct slice choices = unquoted(s->min);
	buf_adds(b, kinds[s->type]);
	if (s->type == SETTING_TEXT)
		buf_addf(b, " %s bytes", s->max);
	else if (s->type == SETTING_LIST)
		buf_addf(b, " %s texts", s->max);
	else if (s->type == SETTING_CHOICE)
		buf_addf(b, " %.*s", (int)choices.n, choices.data);
	else if (s->type != SETTING_BOOL)
		buf_addf(b, " %s to %s", s->min, s->max);
}

static void write_facts(struct buf *b, const struct setting *s)
{
	struct buf facts = buf_with_ceiling(4096);
	write_bounds(&facts, s);
	buf_adds(&facts, s->flags & RELOAD ? "; taken over on reload. " : "; needs a restart. ");
	buf_adds(&facts, "SNOWGATE_");
	for (const char *p = s->section; *p; p++)
		buf_addc(&facts, (char)(*p - 'a' + 'A'));
	buf_addc(&facts, '_');
	for (const char *p = s->key; *p; p++)
		buf_addc(&facts, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
	if (s->flags & SECRET)
		buf_addf(&facts, "; a secret: better given as %s_file, the name of a file that holds it", s->key);
	write_comment(b, "  ", buf_text(&facts));
	buf_free(&facts);
}

static void write_default(struct buf *b, const struct setting *s)
{
	struct slice def = unquoted(s->def);
	write_comment(b, "  ", s->doc);
	write_facts(b, s);
	buf_addf(b, "  %s: ", s->key);
	if (s->type == SETTING_LIST)
		buf_adds(b, "[]");
	else if (s->type == SETTING_TEXT)
		json_write_string(b, def.data, def.n);
	else
		buf_add(b, def.data, def.n);
	buf_adds(b, "\n");
}

static const char head[] =
    "# snowgate: every setting with its default. What is left out has the value shown here.\n"
    "#\n"
    "# Read from -c FILE, else $SNOWGATE_CONFIG, ./snowgate.yaml, /etc/snowgate/snowgate.yaml. Each scalar key and "
    "list of\n"
    "# texts can be set by the environment variable named beside it, which wins; a list is then separated by commas.\n"
    "# ${NAME} and ${NAME:-otherwise} stand for environment variables in any value; $${ is a literal ${.\n"
    "# include: FILE, or a list of files, reads these first; what stands here wins over them. A path is relative to "
    "the\n"
    "# file that names it; ~/ is the home directory. This file must not be writable by group or others.\n";

static const char sample_cortex[] =
    "  # Services by kind; a name is DATABASE.SCHEMA.NAME, or database and schema stand beside it.\n"
    "  # search:\n"
    "  #   - name: tickets\n"
    "  #     description: Support tickets of the last year\n"
    "  #     service: SUPPORT.PUBLIC.TICKETS   # left out: the name\n"
    "  #     columns: [SUBJECT, BODY]\n"
    "  #     limit: 10\n"
    "  # analyst:\n"
    "  #   - name: revenue\n"
    "  #     semantic_view: SALES.PUBLIC.REVENUE   # or semantic_model: \"@SALES.PUBLIC.MODELS/revenue.yaml\"\n"
    "  # agents:\n"
    "  #   - name: helper\n"
    "  #     agent: SALES.PUBLIC.HELPER         # only for policies that name it: it may do more than read\n"
    "  #     connection: main                   # of any service: only for policies of this connection\n";

static const char sample_policies[] =
    "\n# Who may do what; the first policy that fits counts, and whom none fits is refused. Without this list one "
    "policy\n"
    "# fits everybody: the default connection, its role, read and metadata, toolset core, the limits `default`.\n"
    "# policies:\n"
    "#   - name: analysts\n"
    "#     match: {principal: [alice, \"bi-*\"], group: analysts}   # either fits; without match: everybody\n"
    "#     connection: main\n"
    "#     roles: [ANALYST, PUBLIC]       # the first is the default; role: NAME allows one\n"
    "#     warehouse: WH_XS               # fixed; left out: the caller chooses\n"
    "#     databases: [SALES]             # left out: all\n"
    "#     statements: [read, metadata]   # of read metadata dml ddl dcl\n"
    "#     confirm: ask                   # before DELETE, DROP, ...: ask, require or never\n"
    "#     toolsets: [core, classic]      # of core classic snowflake-labs semantic cortex; default core\n"
    "#     # cortex: [tickets]            # names of Cortex services; left out: all in its databases but agents\n"
    "#     limits: default\n";

static void write_default_limits(struct buf *b)
{
	buf_adds(b, "\n# Rates and caps of a principal, by profile; a policy names one. Other profiles have the values "
		    "of default\n"
		    "# where they do not give their own.\nlimits:\n  default:\n");
	for (size_t i = 0; i < limit_settings_n; i++) {
		const struct setting *s = &limit_settings[i];
		buf_addf(b, "    # %s. ", s->doc);
		write_bounds(b, s);
		buf_addf(b, ".\n    %s: %s\n", s->key, s->def);
	}
}

bool conf_write_defaults(struct buf *b)
{
	buf_adds(b, head);
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		if (starts_section(i)) {
			buf_addc(b, '\n');
			for (size_t d = 0; d < ARRAY_LEN(section_docs); d++)
				if (strcmp(section_docs[d][0], s->section) == 0)
					buf_addf(b, "# %s\n", section_docs[d][1]);
			buf_addf(b, "%s:\n", s->section);
		}
		write_default(b, s);
		if (ends_section(i) && strcmp(s->section, "snowflake") == 0)
			buf_adds(b, connection_sample);
		if (ends_section(i) && strcmp(s->section, "cortex") == 0)
			buf_adds(b, sample_cortex);
	}
	write_default_limits(b);
	return buf_adds(b, sample_policies);
}

static void write_faults(struct buf *b, const struct conf_fault *v, size_t n, const char *mark)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].file)
			buf_addf(b, "%s:", v[i].file);
		if (v[i].line)
			buf_addf(b, "%d:", v[i].line);
		buf_addf(b, "%s%s%s%s%s\n", v[i].file || v[i].line ? " " : "", mark, v[i].key, *v[i].key ? ": " : "",
			 v[i].reason);
	}
}

bool conf_faults_write(struct buf *b, const struct conf_faults *faults)
{
	write_faults(b, faults->v, faults->n, "");
	write_faults(b, faults->warnings, faults->warnings_n, "warning: ");
	return !buf_failed(b);
}

static bool is_same(const struct setting *s, const struct conf *from, const struct conf *to)
{
	const char *a = (const char *)from + s->offset, *b = (const char *)to + s->offset;
	switch (s->type) {
	case SETTING_TEXT:
		return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
	case SETTING_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case SETTING_CHOICE:
		return *(const int *)a == *(const int *)b;
	case SETTING_INT:
	case SETTING_TIME:
	case SETTING_SIZE:
		return *(const int64_t *)a == *(const int64_t *)b;
	case SETTING_LIST:
		break;
	}
	const struct texts *x = (const struct texts *)a, *y = (const struct texts *)b;
	for (size_t i = 0; i < x->n && i < y->n; i++)
		if (strcmp(x->v[i], y->v[i]) != 0)
			return false;
	return x->n == y->n;
}

bool conf_changes(struct buf *b, const struct conf *from, const struct conf *to)
{
	bool first = true;
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		if (s->flags & RELOAD || is_same(s, from, to))
			continue;
		buf_addf(b, "%s%s.%s", first ? "" : ", ", s->section, s->key);
		first = false;
	}
	return !buf_failed(b);
}
