/* duckdb_api.h
 *
 * The part of DuckDB's stable C interface that the emulator uses, declared here because the packages that carry the
 * library carry no header. Names, argument types, structure sizes and enum values are the library's binary interface
 * (unchanged since 1.2); the X-macro lets the whole list be checked against a library at a glance.
 */
#ifndef SNOWGATE_EMULATOR_DUCKDB_API_H
#define SNOWGATE_EMULATOR_DUCKDB_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t idx_t;
typedef enum { DUCKDB_SUCCESS = 0, DUCKDB_ERROR = 1 } duckdb_state;
typedef struct duckdb_database_ *duckdb_database;
typedef struct duckdb_connection_ *duckdb_connection;
typedef struct duckdb_config_ *duckdb_config;
typedef struct duckdb_prepared_ *duckdb_prepared_statement;
typedef struct duckdb_chunk_ *duckdb_data_chunk;
typedef struct duckdb_vector_ *duckdb_vector;
typedef struct duckdb_logical_type_ *duckdb_logical_type;
typedef struct duckdb_function_ *duckdb_scalar_function;
typedef struct duckdb_function_set_ *duckdb_scalar_function_set;
typedef struct duckdb_function_info_ *duckdb_function_info;
typedef struct duckdb_cast_function_ *duckdb_cast_function;
typedef struct duckdb_create_type_info_ *duckdb_create_type_info;
typedef struct { /* opaque; passed by value to some functions */
	uint64_t private_numbers[3];
	void *private_pointers[3];
} duckdb_result;
typedef struct {
	uint64_t lower;
	int64_t upper;
} duckdb_hugeint;
typedef struct {
	int32_t months, days;
	int64_t micros;
} duckdb_interval;
typedef struct {
	uint64_t offset, length;
} duckdb_list_entry;
typedef struct {
	int32_t days;
} duckdb_date;
typedef struct {
	int64_t micros;
} duckdb_time;
typedef struct {
	int64_t micros;
} duckdb_timestamp;
typedef struct { /* up to 12 bytes live inside, longer ones behind the pointer */
	union {
		struct {
			uint32_t length;
			char prefix[4];
			char *ptr;
		} pointer;
		struct {
			uint32_t length;
			char inlined[12];
		} inlined;
	} value;
} duckdb_string_t;
typedef void (*duckdb_scalar_function_f)(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output);
typedef bool (*duckdb_cast_f)(duckdb_function_info info, idx_t count, duckdb_vector input, duckdb_vector output);
typedef void (*duckdb_delete_f)(void *data);

typedef enum {
	DUCKDB_TYPE_INVALID = 0,
	DUCKDB_TYPE_BOOLEAN = 1,
	DUCKDB_TYPE_TINYINT,
	DUCKDB_TYPE_SMALLINT,
	DUCKDB_TYPE_INTEGER,
	DUCKDB_TYPE_BIGINT,
	DUCKDB_TYPE_UTINYINT,
	DUCKDB_TYPE_USMALLINT,
	DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UBIGINT,
	DUCKDB_TYPE_FLOAT,
	DUCKDB_TYPE_DOUBLE,
	DUCKDB_TYPE_TIMESTAMP,
	DUCKDB_TYPE_DATE,
	DUCKDB_TYPE_TIME,
	DUCKDB_TYPE_INTERVAL,
	DUCKDB_TYPE_HUGEINT,
	DUCKDB_TYPE_VARCHAR,
	DUCKDB_TYPE_BLOB,
	DUCKDB_TYPE_DECIMAL,
	DUCKDB_TYPE_TIMESTAMP_S,
	DUCKDB_TYPE_TIMESTAMP_MS,
	DUCKDB_TYPE_TIMESTAMP_NS,
	DUCKDB_TYPE_ENUM,
	DUCKDB_TYPE_LIST,
	DUCKDB_TYPE_STRUCT,
	DUCKDB_TYPE_MAP,
	DUCKDB_TYPE_UUID,
	DUCKDB_TYPE_UNION,
	DUCKDB_TYPE_BIT,
	DUCKDB_TYPE_TIME_TZ,
	DUCKDB_TYPE_TIMESTAMP_TZ,
	DUCKDB_TYPE_UHUGEINT,
	DUCKDB_TYPE_ARRAY,
	DUCKDB_TYPE_ANY,
	DUCKDB_TYPE_BIGNUM,
	DUCKDB_TYPE_SQLNULL
} duckdb_type;

/* Error types that the emulator tells apart. */
typedef enum {
	DUCKDB_ERROR_OUT_OF_RANGE = 1,
	DUCKDB_ERROR_CONVERSION = 2,
	DUCKDB_ERROR_DECIMAL = 4,
	DUCKDB_ERROR_MISMATCH_TYPE = 5,
	DUCKDB_ERROR_DIVIDE_BY_ZERO = 6,
	DUCKDB_ERROR_INVALID_TYPE = 8,
	DUCKDB_ERROR_TRANSACTION = 10,
	DUCKDB_ERROR_CATALOG = 13,
	DUCKDB_ERROR_PARSER = 14,
	DUCKDB_ERROR_CONSTRAINT = 18,
	DUCKDB_ERROR_SYNTAX = 22,
	DUCKDB_ERROR_BINDER = 24,
	DUCKDB_ERROR_INTERRUPT = 29,
	DUCKDB_ERROR_INVALID_INPUT = 32,
	DUCKDB_ERROR_OUT_OF_MEMORY = 33
} duckdb_error_type;

#define DUCKDB_API(X)                                                                                                  \
	X(duckdb_state, duckdb_create_config, (duckdb_config *))                                                       \
	X(duckdb_state, duckdb_set_config, (duckdb_config, const char *, const char *))                                \
	X(void, duckdb_destroy_config, (duckdb_config *))                                                              \
	X(duckdb_state, duckdb_open_ext, (const char *, duckdb_database *, duckdb_config, char **))                    \
	X(void, duckdb_close, (duckdb_database *))                                                                     \
	X(duckdb_state, duckdb_connect, (duckdb_database, duckdb_connection *))                                        \
	X(void, duckdb_disconnect, (duckdb_connection *))                                                              \
	X(void, duckdb_interrupt, (duckdb_connection))                                                                 \
	X(duckdb_state, duckdb_query, (duckdb_connection, const char *, duckdb_result *))                              \
	X(void, duckdb_destroy_result, (duckdb_result *))                                                              \
	X(const char *, duckdb_result_error, (duckdb_result *))                                                        \
	X(duckdb_error_type, duckdb_result_error_type, (duckdb_result *))                                              \
	X(idx_t, duckdb_rows_changed, (duckdb_result *))                                                               \
	X(idx_t, duckdb_column_count, (duckdb_result *))                                                               \
	X(const char *, duckdb_column_name, (duckdb_result *, idx_t))                                                  \
	X(duckdb_logical_type, duckdb_column_logical_type, (duckdb_result *, idx_t))                                   \
	X(duckdb_data_chunk, duckdb_fetch_chunk, (duckdb_result))                                                      \
	X(idx_t, duckdb_data_chunk_get_size, (duckdb_data_chunk))                                                      \
	X(duckdb_vector, duckdb_data_chunk_get_vector, (duckdb_data_chunk, idx_t))                                     \
	X(void, duckdb_destroy_data_chunk, (duckdb_data_chunk *))                                                      \
	X(void *, duckdb_vector_get_data, (duckdb_vector))                                                             \
	X(uint64_t *, duckdb_vector_get_validity, (duckdb_vector))                                                     \
	X(duckdb_vector, duckdb_list_vector_get_child, (duckdb_vector))                                                \
	X(duckdb_vector, duckdb_struct_vector_get_child, (duckdb_vector, idx_t))                                       \
	X(void, duckdb_vector_ensure_validity_writable, (duckdb_vector))                                               \
	X(duckdb_logical_type, duckdb_create_logical_type, (duckdb_type))                                              \
	X(duckdb_logical_type, duckdb_create_decimal_type, (uint8_t, uint8_t))                                         \
	X(duckdb_type, duckdb_get_type_id, (duckdb_logical_type))                                                      \
	X(char *, duckdb_logical_type_get_alias, (duckdb_logical_type))                                                \
	X(uint8_t, duckdb_decimal_width, (duckdb_logical_type))                                                        \
	X(uint8_t, duckdb_decimal_scale, (duckdb_logical_type))                                                        \
	X(duckdb_type, duckdb_decimal_internal_type, (duckdb_logical_type))                                            \
	X(duckdb_type, duckdb_enum_internal_type, (duckdb_logical_type))                                               \
	X(char *, duckdb_enum_dictionary_value, (duckdb_logical_type, idx_t))                                          \
	X(duckdb_logical_type, duckdb_list_type_child_type, (duckdb_logical_type))                                     \
	X(idx_t, duckdb_struct_type_child_count, (duckdb_logical_type))                                                \
	X(char *, duckdb_struct_type_child_name, (duckdb_logical_type, idx_t))                                         \
	X(duckdb_logical_type, duckdb_struct_type_child_type, (duckdb_logical_type, idx_t))                            \
	X(void, duckdb_destroy_logical_type, (duckdb_logical_type *))                                                  \
	X(duckdb_state, duckdb_prepare, (duckdb_connection, const char *, duckdb_prepared_statement *))                \
	X(const char *, duckdb_prepare_error, (duckdb_prepared_statement))                                             \
	X(void, duckdb_destroy_prepare, (duckdb_prepared_statement *))                                                 \
	X(idx_t, duckdb_nparams, (duckdb_prepared_statement))                                                          \
	X(duckdb_state, duckdb_bind_varchar_length, (duckdb_prepared_statement, idx_t, const char *, idx_t))           \
	X(duckdb_state, duckdb_bind_int64, (duckdb_prepared_statement, idx_t, int64_t))                                \
	X(duckdb_state, duckdb_bind_double, (duckdb_prepared_statement, idx_t, double))                                \
	X(duckdb_state, duckdb_bind_boolean, (duckdb_prepared_statement, idx_t, bool))                                 \
	X(duckdb_state, duckdb_bind_date, (duckdb_prepared_statement, idx_t, duckdb_date))                             \
	X(duckdb_state, duckdb_bind_time, (duckdb_prepared_statement, idx_t, duckdb_time))                             \
	X(duckdb_state, duckdb_bind_timestamp, (duckdb_prepared_statement, idx_t, duckdb_timestamp))                   \
	X(duckdb_state, duckdb_bind_timestamp_tz, (duckdb_prepared_statement, idx_t, duckdb_timestamp))                \
	X(duckdb_state, duckdb_bind_null, (duckdb_prepared_statement, idx_t))                                          \
	X(duckdb_state, duckdb_execute_prepared, (duckdb_prepared_statement, duckdb_result *))                         \
	X(duckdb_scalar_function, duckdb_create_scalar_function, (void))                                               \
	X(void, duckdb_destroy_scalar_function, (duckdb_scalar_function *))                                            \
	X(void, duckdb_scalar_function_set_name, (duckdb_scalar_function, const char *))                               \
	X(void, duckdb_scalar_function_add_parameter, (duckdb_scalar_function, duckdb_logical_type))                   \
	X(void, duckdb_scalar_function_set_return_type, (duckdb_scalar_function, duckdb_logical_type))                 \
	X(void, duckdb_scalar_function_set_function, (duckdb_scalar_function, duckdb_scalar_function_f))               \
	X(void, duckdb_scalar_function_set_extra_info, (duckdb_scalar_function, void *, duckdb_delete_f))              \
	X(void *, duckdb_scalar_function_get_extra_info, (duckdb_function_info))                                       \
	X(void, duckdb_scalar_function_set_error, (duckdb_function_info, const char *))                                \
	X(duckdb_scalar_function_set, duckdb_create_scalar_function_set, (const char *))                               \
	X(duckdb_state, duckdb_add_scalar_function_to_set, (duckdb_scalar_function_set, duckdb_scalar_function))       \
	X(duckdb_state, duckdb_register_scalar_function_set, (duckdb_connection, duckdb_scalar_function_set))          \
	X(void, duckdb_destroy_scalar_function_set, (duckdb_scalar_function_set *))                                    \
	X(duckdb_logical_type, duckdb_array_type_child_type, (duckdb_logical_type))                                    \
	X(idx_t, duckdb_array_type_array_size, (duckdb_logical_type))                                                  \
	X(duckdb_vector, duckdb_array_vector_get_child, (duckdb_vector))                                               \
	X(void, duckdb_vector_assign_string_element_len, (duckdb_vector, idx_t, const char *, idx_t))                  \
	X(void, duckdb_logical_type_set_alias, (duckdb_logical_type, const char *))                                    \
	X(duckdb_state, duckdb_register_logical_type,                                                                  \
	  (duckdb_connection, duckdb_logical_type, duckdb_create_type_info))                                           \
	X(duckdb_cast_function, duckdb_create_cast_function, (void))                                                   \
	X(void, duckdb_cast_function_set_source_type, (duckdb_cast_function, duckdb_logical_type))                     \
	X(void, duckdb_cast_function_set_target_type, (duckdb_cast_function, duckdb_logical_type))                     \
	X(void, duckdb_cast_function_set_implicit_cast_cost, (duckdb_cast_function, int64_t))                          \
	X(void, duckdb_cast_function_set_function, (duckdb_cast_function, duckdb_cast_f))                              \
	X(int, duckdb_cast_function_get_cast_mode, (duckdb_function_info))                                             \
	X(void, duckdb_cast_function_set_error, (duckdb_function_info, const char *))                                  \
	X(void, duckdb_cast_function_set_row_error, (duckdb_function_info, const char *, idx_t, duckdb_vector))        \
	X(duckdb_state, duckdb_register_cast_function, (duckdb_connection, duckdb_cast_function))                      \
	X(void, duckdb_destroy_cast_function, (duckdb_cast_function *))                                                \
	X(void, duckdb_free, (void *))

#define DUCKDB_DECLARE(result, name, arguments) extern result name arguments;
DUCKDB_API(DUCKDB_DECLARE)
#undef DUCKDB_DECLARE

#endif
