/* Says to each client in its own format how to reach this gateway: one table of templates for the command line and for
 * the page that a browser sees. */
#include "snowgate/connect.h"

#include <string.h>

#include "snowgate/json.h"

#define VALUE_MAX  ((size_t)4096)     /* a URL, a key, a path */
#define FILLED_MAX ((size_t)64 << 10) /* one client's text, every byte of its values escaped */

/* ---- the table ---- */

/* In a template {{url}}, {{bearer}}, {{program}} and {{file}} are string literals as JSON, TOML, Python and TypeScript
 * all read them; with sh: in front they are words of the shell. What stands between {{?key}} and {{/}} is there only
 * with an API key; likewise {{?open}} without one, {{?http}} for an address without TLS, {{?file}}. Sources: the
 * clients' own documentation, November 2026. */
struct client {
	const char *name, *title;
	const char *comment;       /* what begins one */
	const char *where;         /* the text goes */
	const char *text;          /* over HTTP */
	const char *process_where; /* NULL: this client starts no processes */
	const char *process;
};

#define ASK "SELECT CURRENT_VERSION()"

static const char claude_code[] =
    "claude mcp add --scope user --transport http snowgate {{sh:url}}{{?key}} --header {{sh:header}}{{/}}\n";
static const char claude_code_process[] =
    "claude mcp add --scope user snowgate -- {{sh:program}} stdio{{?file}} -c {{sh:file}}{{/}}\n";

static const char claude_desktop[] =
    "{\n"
    "  \"mcpServers\": {\n"
    "    \"snowgate\": {\n"
    "      \"command\": \"npx\",\n"
    "      \"args\": [\"-y\", \"mcp-remote\", {{url}}, \"--transport\", \"http-only\"{{?http}}, \"--allow-http\"{{/}}"
    "{{?key}}, \"--header\", \"Authorization:${SNOWGATE_AUTHORIZATION}\"{{/}}]{{?key}},\n"
    "      \"env\": { \"SNOWGATE_AUTHORIZATION\": {{bearer}} }{{/}}\n"
    "    }\n"
    "  }\n"
    "}\n";

static const char cursor[] = "{\n"
			     "  \"mcpServers\": {\n"
			     "    \"snowgate\": {\n"
			     "      \"url\": {{url}}{{?key}},\n"
			     "      \"headers\": { \"Authorization\": {{bearer}} }{{/}}\n"
			     "    }\n"
			     "  }\n"
			     "}\n";
static const char servers_process[] = "{\n"
				      "  \"mcpServers\": {\n"
				      "    \"snowgate\": {\n"
				      "      \"command\": {{program}},\n"
				      "      \"args\": [\"stdio\"{{?file}}, \"-c\", {{file}}{{/}}]\n"
				      "    }\n"
				      "  }\n"
				      "}\n";

static const char vscode[] = "{\n"
			     "  \"servers\": {\n"
			     "    \"snowgate\": {\n"
			     "      \"type\": \"http\",\n"
			     "      \"url\": {{url}}{{?key}},\n"
			     "      \"headers\": { \"Authorization\": {{bearer}} }{{/}}\n"
			     "    }\n"
			     "  }\n"
			     "}\n";
static const char vscode_process[] = "{\n"
				     "  \"servers\": {\n"
				     "    \"snowgate\": {\n"
				     "      \"type\": \"stdio\",\n"
				     "      \"command\": {{program}},\n"
				     "      \"args\": [\"stdio\"{{?file}}, \"-c\", {{file}}{{/}}]\n"
				     "    }\n"
				     "  }\n"
				     "}\n";

static const char codex[] = "[mcp_servers.snowgate]\n"
			    "url = {{url}}\n"
			    "{{?key}}bearer_token_env_var = \"SNOWGATE_API_KEY\"\n"
			    "# The key itself is read from the environment that Codex starts in:\n"
			    "# export {{sh:env}}\n{{/}}";
static const char codex_process[] = "[mcp_servers.snowgate]\n"
				    "command = {{program}}\n"
				    "args = [\"stdio\"{{?file}}, \"-c\", {{file}}{{/}}]\n";

static const char python[] =
    "import asyncio\n"
    "\n"
    "{{?key}}import httpx2\n{{/}}"
    "from mcp import Client\n"
    "{{?key}}from mcp.client.streamable_http import streamable_http_client\n{{/}}"
    "\n"
    "\n"
    "async def ask(client):\n"
    "    result = await client.call_tool(\"execute_query\", {\"query\": \"" ASK "\"})\n"
    "    print(result.content[0].text)\n"
    "\n"
    "\n"
    "async def main():\n"
    "{{?open}}    async with Client({{url}}) as client:\n"
    "        await ask(client)\n{{/}}"
    "{{?key}}    headers = {\"Authorization\": {{bearer}}}\n"
    "    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300)) as http:\n"
    "        async with Client(streamable_http_client({{url}}, http_client=http)) as client:\n"
    "            await ask(client)\n{{/}}"
    "\n"
    "\n"
    "asyncio.run(main())\n";

static const char typescript[] =
    "import { Client, StreamableHTTPClientTransport } from \"@modelcontextprotocol/client\";\n"
    "\n"
    "const transport = new StreamableHTTPClientTransport(new URL({{url}}){{?key}}, {\n"
    "  requestInit: { headers: { Authorization: {{bearer}} } },\n"
    "}{{/}});\n"
    "const client = new Client({ name: \"ask\", version: \"1.0.0\" });\n"
    "await client.connect(transport);\n"
    "const result = await client.callTool({ name: \"execute_query\", arguments: { query: \"" ASK "\" } });\n"
    "console.log(result.content);\n"
    "await client.close();\n";

static const char curl[] =
    "curl -s {{sh:url}}{{?key}} -H {{sh:header}}{{/}} \\\n"
    "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\\n"
    "  -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: execute_query' \\\n"
    "  --data '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\n"
    "    \"name\":\"execute_query\",\"arguments\":{\"query\":\"" ASK "\"},\n"
    "    \"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\n"
    "             \"io.modelcontextprotocol/clientInfo\":{\"name\":\"curl\",\"version\":\"1\"},\n"
    "             \"io.modelcontextprotocol/clientCapabilities\":{}}}}'\n";

static const struct client clients[] = {
    {"claude-code", "Claude Code", "# ", "run this in a terminal", claude_code, "run this in a terminal",
     claude_code_process},
    {"claude-desktop", "Claude Desktop", "// ",
     "Settings > Developer > Edit Config (claude_desktop_config.json), then restart it; needs Node.js", claude_desktop,
     "Settings > Developer > Edit Config (claude_desktop_config.json), then restart it", servers_process},
    {"cursor", "Cursor", "// ", "~/.cursor/mcp.json, or .cursor/mcp.json of one project", cursor,
     "~/.cursor/mcp.json, or .cursor/mcp.json of one project", servers_process},
    {"vscode", "VS Code", "// ", "MCP: Open User Configuration, or .vscode/mcp.json of one workspace", vscode,
     "MCP: Open User Configuration, or .vscode/mcp.json of one workspace", vscode_process},
    {"codex", "Codex", "# ", "~/.codex/config.toml", codex, "~/.codex/config.toml", codex_process},
    {"python", "Python SDK", "# ", "pip install 'mcp>=2', save as ask.py, run python ask.py", python, NULL, NULL},
    {"typescript", "TypeScript SDK", "// ",
     "npm install @modelcontextprotocol/client, save as ask.mts, run node ask.mts", typescript, NULL, NULL},
    {"curl", "curl", "# ", "one query in one request; run this in a terminal", curl, NULL, NULL},
};

const char *connect_clients(void)
{
	return "claude-code claude-desktop cursor vscode codex python typescript curl";
}

/* ---- literals ---- */

/* A JSON string is one in TOML, Python and TypeScript too, but for DEL, which TOML wants escaped. */
static void add_literal(struct buf *b, const char *text)
{
	struct buf json = buf_with_ceiling(FILLED_MAX);

	json_write_string(&json, text, strlen(text));
	for (const char *c = buf_text(&json); *c; c++) {
		if (*c == 0x7f)
			buf_adds(b, "\\u007f");
		else
			buf_addc(b, *c);
	}
	buf_free(&json);
}

/* One word. Control characters and what is not UTF-8 as bash and zsh write them: a word is never more than one line. */
static void add_word(struct buf *b, const char *text)
{
	size_t n = strlen(text);

	buf_addc(b, '\'');
	for (size_t at = 0; at < n;) {
		size_t length = utf8_sequence(text + at, n - at);
		unsigned char c = (unsigned char)text[at];

		if (c == '\'')
			buf_adds(b, "'\\''");
		else if (c < 0x20 || c == 0x7f || !length)
			buf_addf(b, "'$'\\x%02x''", (unsigned)c);
		else
			buf_add(b, text + at, length);
		at += length ? length : 1;
	}
	buf_addc(b, '\'');
}

static void add_html(struct buf *b, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '<')
			buf_adds(b, "&lt;");
		else if (*c == '>')
			buf_adds(b, "&gt;");
		else if (*c == '&')
			buf_adds(b, "&amp;");
		else if (*c == '"' || *c == '\'')
			buf_addf(b, "&#%d;", *c);
		else
			buf_addc(b, *c);
	}
}

/* What no URL may hold is percent-encoded (RFC 3986, 2). */
static void add_url(struct buf *b, const char *url)
{
	static const char allowed[] = "-._~:/?#[]@!$&'()*+,;=%";

	for (const char *c = url; *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

		if (letter || strchr(allowed, *c))
			buf_addc(b, *c);
		else
			buf_addf(b, "%%%02X", (unsigned)(unsigned char)*c);
	}
}

/* ---- templates ---- */

struct values {
	const char *url, *key, *program, *file; /* NULL: not there */
};

static void add_joined(struct buf *b, void (*add)(struct buf *, const char *), const char *before, const char *text)
{
	struct buf both = buf_with_ceiling(FILLED_MAX);

	buf_adds(&both, before);
	buf_adds(&both, text ? text : "");
	add(b, buf_text(&both));
	buf_free(&both);
}

static void add_value(struct buf *b, struct slice name, const struct values *v)
{
	const struct {
		const char *name;
		void (*add)(struct buf *, const char *);
		const char *before, *text;
	} values[] = {
	    {"url", add_literal, "", v->url},
	    {"bearer", add_literal, "Bearer ", v->key},
	    {"program", add_literal, "", v->program},
	    {"file", add_literal, "", v->file},
	    {"sh:url", add_word, "", v->url},
	    {"sh:header", add_word, "Authorization: Bearer ", v->key},
	    {"sh:program", add_word, "", v->program},
	    {"sh:file", add_word, "", v->file},
	    {"sh:env", add_word, "SNOWGATE_API_KEY=", v->key},
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		if (slice_is(name, values[i].name))
			add_joined(b, values[i].add, values[i].before, values[i].text);
	}
}

static bool holds(struct slice condition, const struct values *v)
{
	if (slice_is(condition, "key"))
		return v->key != NULL;
	if (slice_is(condition, "open"))
		return v->key == NULL;
	if (slice_is(condition, "file"))
		return v->file != NULL;
	return v->url && strncmp(v->url, "http://", 7) == 0;
}

/* Conditions do not nest. */
static void fill(struct buf *b, const char *template, const struct values *v)
{
	bool shown = true;

	for (const char *mark; (mark = strstr(template, "{{"));) {
		struct slice name = {mark + 2, strcspn(mark + 2, "}")};

		if (shown)
			buf_add(b, template, (size_t)(mark - template));
		if (name.data[0] == '?')
			shown = holds((struct slice){name.data + 1, name.n - 1}, v);
		else if (name.data[0] == '/')
			shown = true;
		else if (shown)
			add_value(b, name, v);
		template = name.data + name.n + 2;
	}
	buf_adds(b, template);
}

/* ---- the command line ---- */

static const struct client *client_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		if (strcmp(clients[i].name, name) == 0)
			return &clients[i];
	}
	return NULL;
}

static bool fits(const char *value)
{
	return !value || strlen(value) <= VALUE_MAX;
}

static void write_first_line(struct buf *b, const struct client *c, const char *where)
{
	buf_addf(b, "%s%s: %s\n", c->comment, c->title, where);
}

bool connect_write(struct buf *b, const char *client, const char *url, const char *key)
{
	const struct client *c = client_find(client);
	struct buf clean = buf_with_ceiling(FILLED_MAX);
	struct values v = {.key = key};

	if (!c || !fits(url) || !fits(key))
		return false;
	add_url(&clean, url);
	v.url = buf_text(&clean);
	write_first_line(b, c, c->where);
	fill(b, c->text, &v);
	buf_free(&clean);
	return !buf_failed(b);
}

bool connect_write_stdio(struct buf *b, const char *client, const char *program, const char *file)
{
	const struct client *c = client_find(client);
	const struct values v = {.program = program, .file = file};

	if (!c || !c->process || !fits(program) || !fits(file))
		return false;
	write_first_line(b, c, c->process_where);
	fill(b, c->process, &v);
	return !buf_failed(b);
}

bool connect_url(struct buf *b, const struct conf *conf)
{
	const char *address = conf->listen_address;

	if (conf->listen_public_url[0])
		return buf_adds(b, conf->listen_public_url);
	if (strncmp(address, "unix:", 5) == 0)
		return buf_addf(b, "http://localhost%s", conf->listen_path);
	if (strcmp(address, "0.0.0.0") == 0)
		address = "127.0.0.1";
	else if (strcmp(address, "::") == 0)
		address = "::1";
	return buf_addf(b, strchr(address, ':') ? "http://[%s]:%lld%s" : "http://%s:%lld%s", address,
			(long long)conf->listen_port, conf->listen_path);
}

/* ---- the page ---- */

static const char page_head[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta name=\"robots\" content=\"noindex\">\n"
    "<title>snowgate</title>\n"
    "<style>\n"
    ":root{--ink:#1b2733;--soft:#566573;--line:#d7dee5;--paper:#fff;--code:#f3f6f9;--mark:#0b69a3}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9dacba;--line:#33414e;--paper:#12181e;"
    "--code:#1b242c;--mark:#6fb7e6}}\n"
    "body{margin:0 auto;max-width:50rem;padding:2rem 1rem 4rem;background:var(--paper);color:var(--ink);"
    "font:1rem/1.55 system-ui,sans-serif}\n"
    "h1{margin:0;font-size:1.6rem}\n"
    "p{margin:.5rem 0}\n"
    ".soft{color:var(--soft)}\n"
    "code,pre{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.875rem}\n"
    "code{background:var(--code);padding:.1rem .35rem;border-radius:.25rem;overflow-wrap:anywhere}\n"
    "pre{background:var(--code);border:1px solid var(--line);border-radius:.4rem;padding:.75rem 1rem;overflow-x:auto;"
    "user-select:all}\n"
    "details{border-top:1px solid var(--line);padding:.6rem 0}\n"
    "details:last-of-type{border-bottom:1px solid var(--line)}\n"
    "summary{cursor:pointer;font-weight:600}\n"
    "summary:focus-visible{outline:2px solid var(--mark);outline-offset:.2rem}\n"
    "</style>\n"
    "<h1>snowgate</h1>\n"
    "<p class=\"soft\">A gateway from MCP clients to Snowflake. Browsers see this page; clients connect to</p>\n";

static const char page_key[] =
    "<p>Each client needs an API key: put yours in place of <code>YOUR_API_KEY</code>. Whoever runs this gateway makes "
    "one with <code>snowgate key new NAME</code>.</p>\n";
static const char page_open[] = "<p>No API key is needed here: this gateway serves everybody who can reach it.</p>\n";

static void page_client(struct buf *b, const struct client *c, const struct values *v)
{
	struct buf text = buf_with_ceiling(FILLED_MAX);

	fill(&text, c->text, v);
	buf_addf(b, "<details%s>\n<summary>%s</summary>\n<p class=\"soft\">", c == clients ? " open" : "", c->title);
	add_html(b, c->where);
	buf_adds(b, "</p>\n<pre>");
	add_html(b, buf_text(&text));
	buf_adds(b, "</pre>\n</details>\n");
	buf_free(&text);
}

bool connect_page(struct buf *b, const struct conf *conf, const char *url)
{
	struct buf clean = buf_with_ceiling(FILLED_MAX);
	struct values v = {.key = conf->auth_mode == AUTH_REQUIRED ? "YOUR_API_KEY" : NULL};

	if (!fits(url))
		return false;
	add_url(&clean, url);
	v.url = buf_text(&clean);
	buf_adds(b, page_head);
	buf_adds(b, "<p><code>");
	add_html(b, v.url);
	buf_adds(b, "</code></p>\n");
	buf_adds(b, v.key ? page_key : page_open);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		page_client(b, &clients[i], &v);
	buf_adds(b, "<p class=\"soft\">On the machine of the gateway <code>snowgate connect CLIENT</code> prints the "
		    "same, with a "
		    "key where one is needed.</p>\n</html>\n");
	buf_free(&clean);
	return !buf_failed(b);
}
