/* Opens the emulator's database: the memory of names, macros, sample data, and the fence around it all. */
#include "engine_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "casts.h"
#include "natives.h"
#include "rewriter.h"

extern const char emulator_memory_sql[];
extern const char emulator_macros_sql[];
extern const char emulator_sample_sql[];
extern const char emulator_sample_semantic_sql[];

#define SUFFIX ".duckdb"

/* ---- databases and their files ---- */

static bool fits_a_file(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '$')
			return false;
	return name[0] && strlen(name) < 200;
}

bool engine_attach(struct engine *engine, duckdb_connection connection, const char *name, struct failure *failure)
{
	struct buf sql = buf_with_ceiling(1 << 16), path = buf_with_ceiling(1 << 14);
	char why[512];
	bool ok;

	if (engine->file_dir && !fits_a_file(name)) {
		set_failure(failure, "000002", "0A000", "Unsupported feature 'this database name with files'.");
		return false;
	}
	if (engine->file_dir)
		buf_addf(&path, "%s/%s" SUFFIX, engine->file_dir, name);
	else
		buf_adds(&path, ":memory:");
	buf_adds(&sql, "ATTACH ");
	add_literal(&sql, buf_text(&path));
	buf_adds(&sql, " AS ");
	add_quoted(&sql, name);
	ok = run_all(connection, buf_text(&sql), why, sizeof why);
	if (!ok)
		set_failure(failure, "000603", "XX000", "%s", why);
	buf_free(&sql);
	buf_free(&path);
	return ok;
}

void engine_forget_file(struct engine *engine, const char *name)
{
	struct buf path = buf_with_ceiling(1 << 14);

	if (engine->file_dir && fits_a_file(name)) {
		buf_addf(&path, "%s/%s" SUFFIX, engine->file_dir, name);
		unlink(buf_text(&path));
		buf_addf(&path, ".wal");
		unlink(buf_text(&path));
	}
	buf_free(&path);
}

/* Attaches what earlier runs left in the directory. */
static bool attach_files(struct engine *engine, duckdb_connection connection, struct failure *failure)
{
	DIR *dir = engine->file_dir ? opendir(engine->file_dir) : NULL;
	struct dirent *entry;
	bool ok = true;

	if (engine->file_dir && !dir) {
		set_failure(failure, "000603", "XX000", "cannot read the directory %s", engine->file_dir);
		return false;
	}
	while (dir && ok && (entry = readdir(dir)) != NULL) {
		size_t n = strlen(entry->d_name), suffix = strlen(SUFFIX);
		char name[256];

		if (n <= suffix || n >= sizeof name || strcmp(entry->d_name + n - suffix, SUFFIX))
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(n - suffix), entry->d_name);
		if (strcmp(name, "_SF"))
			ok = engine_attach(engine, connection, name, failure);
	}
	if (dir)
		closedir(dir);
	return ok;
}

static bool create_database(struct engine *engine, duckdb_connection connection, const char *name, const char *schema,
			    struct failure *failure)
{
	struct buf sql = buf_with_ceiling(4096);
	char why[512];
	bool ok = engine_attach(engine, connection, name, failure);

	buf_addf(&sql,
		 "CREATE SCHEMA \"%s\".\"%s\"; INSERT INTO \"_SF\".main.\"_SF_OBJECT\" VALUES ('%s', '', '', "
		 "'DATABASE', now(), 'SYSADMIN', '', ''), "
		 "('%s', '%s', '', 'SCHEMA', now(), 'SYSADMIN', '', '')",
		 name, schema, name, name, schema);
	if (ok && !run_all(connection, buf_text(&sql), why, sizeof why)) {
		set_failure(failure, "000603", "XX000", "%s", why);
		ok = false;
	}
	buf_free(&sql);
	return ok;
}

/* ---- start ---- */

static duckdb_database open_database(char *why, size_t size)
{
	static const char *const SETTINGS[][2] = {
	    {"threads", "2"},
	    {"autoinstall_known_extensions", "false"},
	    {"autoload_known_extensions", "false"},
	    {"default_null_order", "nulls_last_on_asc_first_on_desc"},
	};
	duckdb_config config = NULL;
	duckdb_database database = NULL;
	char *error = NULL;

	duckdb_create_config(&config);
	for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++)
		duckdb_set_config(config, SETTINGS[i][0], SETTINGS[i][1]);
	if (duckdb_open_ext(":memory:", &database, config, &error) != DUCKDB_SUCCESS) {
		snprintf(why, size, "DuckDB does not open: %s", error ? error : "");
		database = NULL;
	}
	duckdb_free(error);
	duckdb_destroy_config(&config);
	return database;
}

static bool load_sample(struct engine *engine, duckdb_connection connection, double scale, char *why, size_t size)
{
	struct failure failure;
	char sql[128];

	if (engine_has_database(engine, "SNOWFLAKE_SAMPLE_DATA"))
		return true;
	if (!create_database(engine, connection, "SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1", &failure) ||
	    !create_database(engine, connection, "DEMO", "PUBLIC", &failure)) {
		snprintf(why, size, "%s", failure.message);
		return false;
	}
	snprintf(sql, sizeof sql, "SET VARIABLE sf_scale = CAST(%.6f AS DOUBLE)", scale > 0 ? scale : 0.01);
	return run_all(connection, sql, why, size) && run_all(connection, emulator_sample_sql, why, size);
}

/* From here on SQL sees no files but those of the two directories. */
static bool close_the_fence(duckdb_connection connection, const struct engine_options *options, char *why, size_t size)
{
	struct buf sql = buf_with_ceiling(1 << 16);
	bool ok;

	buf_adds(&sql, "SET allowed_directories = [");
	if (options->data_dir)
		add_literal(&sql, options->data_dir);
	if (options->database_file_dir) {
		buf_adds(&sql, options->data_dir ? ", " : "");
		add_literal(&sql, options->database_file_dir);
	}
	buf_adds(&sql, "]; SET enable_external_access = false");
	ok = run_all(connection, buf_text(&sql), why, size);
	buf_free(&sql);
	return ok;
}

static bool prepare_database(struct engine *engine, duckdb_connection connection, const struct engine_options *options,
			     char *why, size_t size)
{
	static const char VARIABLES[] = "SET search_path = 'memory.main'; SET VARIABLE sf_user = ''; SET VARIABLE "
					"sf_role = ''; SET VARIABLE sf_warehouse = '';"
					"SET VARIABLE sf_database = ''; SET VARIABLE sf_schema = ''; SET VARIABLE "
					"sf_timezone = ''; SET VARIABLE sf_scale = 0.01::DOUBLE";
	struct failure failure;

	if (!register_casts(connection)) {
		snprintf(why, size, "the types and casts do not register");
		return false;
	}
	if (!engine_attach(engine, connection, "_SF", &failure) || !attach_files(engine, connection, &failure)) {
		snprintf(why, size, "%s", failure.message);
		return false;
	}
	if (!run_all(connection, VARIABLES, why, size) || !run_all(connection, emulator_memory_sql, why, size))
		return false;
	if (!register_natives(connection)) {
		snprintf(why, size, "the functions in C do not register");
		return false;
	}
	if (!run_all(connection, emulator_macros_sql, why, size))
		return false;
	if (options->sample_data && !load_sample(engine, connection, options->sample_scale, why, size))
		return false;
	return close_the_fence(connection, options, why, size);
}

/* The sample semantic view is Snowflake SQL: it goes the way of any statement, where it is not there yet. */
static bool create_sample_view(struct engine *engine, char *why, size_t size)
{
	struct engine_statement statement = {.text = emulator_sample_semantic_sql,
					     .context = {.user = "DEMO", .role = "SYSADMIN", .database = "DEMO"}};
	struct engine_result result;
	bool ok;

	engine_run(engine, NULL, &statement, 0, &result);
	ok = !result.code[0] || !strcmp(result.code, "002002");
	if (!ok)
		snprintf(why, size, "the sample semantic view: %s", result.message);
	engine_result_free(&result);
	return ok;
}

struct engine *engine_open(const struct engine_options *options, char *why, size_t size)
{
	struct engine *engine = xalloc(sizeof *engine);
	duckdb_connection connection = NULL;
	bool ok = false;

	pthread_mutex_init(&engine->writing, NULL);
	engine->file_dir = options->database_file_dir ? xstrdup(options->database_file_dir) : NULL;
	atomic_store(&engine->mixed_case, options->database_file_dir != NULL);
	engine->database = open_database(why, size);
	if (engine->database && duckdb_connect(engine->database, &connection) == DUCKDB_SUCCESS) {
		ok = prepare_database(engine, connection, options, why, size);
		duckdb_disconnect(&connection);
	}
	if (ok && options->sample_data && engine_has_database(engine, "DEMO"))
		ok = create_sample_view(engine, why, size);
	if (ok)
		return engine;
	engine_close(engine);
	return NULL;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	if (engine->database)
		duckdb_close(&engine->database);
	pthread_mutex_destroy(&engine->writing);
	free(engine->file_dir);
	free(engine);
}

/* ---- names ---- */

static bool has(struct engine *engine, const char *sql, const char *name)
{
	duckdb_connection connection = NULL;
	int64_t n = 0;

	if (!name || duckdb_connect(engine->database, &connection) != DUCKDB_SUCCESS)
		return false;
	ask(connection, sql, &name, 1, &n);
	duckdb_disconnect(&connection);
	return n > 0;
}

bool engine_has_database(struct engine *engine, const char *name)
{
	return has(engine,
		   "SELECT count(*) FROM duckdb_databases() WHERE NOT internal AND database_name NOT IN ('memory', "
		   "'_SF') AND database_name = ?",
		   name);
}

bool engine_has_warehouse(struct engine *engine, const char *name)
{
	return has(engine, "SELECT count(*) FROM \"_SF\".main.\"_SF_WAREHOUSE\" WHERE name = ?", name);
}

bool engine_has_role(struct engine *engine, const char *user, const char *name)
{
	(void)user; /* every user has every role */
	return has(engine, "SELECT count(*) FROM \"_SF\".main.\"_SF_ROLE\" WHERE name = ?", name);
}

bool engine_role_is_granted(const char *granted, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = granted; p && *p; p += strcspn(p, ","), p += *p == ',') {
		if (strcspn(p, ",") == n && !strncmp(p, name, n))
			return true;
	}
	return !granted;
}
