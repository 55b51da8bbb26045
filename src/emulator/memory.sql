-- What Snowflake remembers and DuckDB does not: kept in the attached database "_SF", which may be a file.
CREATE TABLE IF NOT EXISTS "_SF".main."_SF_OBJECT" (db VARCHAR, sc VARCHAR, name VARCHAR, kind VARCHAR, created TIMESTAMPTZ, owner VARCHAR, comment VARCHAR, body VARCHAR);
CREATE TABLE IF NOT EXISTS "_SF".main."_SF_COLUMN" (db VARCHAR, sc VARCHAR, tb VARCHAR, col VARCHAR, type VARCHAR, comment VARCHAR, is_primary BOOLEAN, is_unique BOOLEAN);
CREATE TABLE IF NOT EXISTS "_SF".main."_SF_SEMANTIC" (db VARCHAR, sc VARCHAR, view_name VARCHAR, pos BIGINT, kind VARCHAR, tbl VARCHAR, name VARCHAR, expr VARCHAR, keys VARCHAR, ref_tbl VARCHAR, ref_keys VARCHAR, data_type VARCHAR, synonyms VARCHAR, comment VARCHAR);
CREATE TABLE IF NOT EXISTS "_SF".main."_SF_ROLE" (name VARCHAR, created TIMESTAMPTZ DEFAULT now());
CREATE TABLE IF NOT EXISTS "_SF".main."_SF_WAREHOUSE" (name VARCHAR, size VARCHAR DEFAULT 'X-Small', created TIMESTAMPTZ DEFAULT now());
INSERT INTO "_SF".main."_SF_ROLE" (name) SELECT n FROM (VALUES ('ACCOUNTADMIN'), ('SYSADMIN'), ('PUBLIC'), ('ANALYST'), ('LOADER')) v(n) WHERE NOT EXISTS (FROM "_SF".main."_SF_ROLE");
INSERT INTO "_SF".main."_SF_WAREHOUSE" (name) SELECT n FROM (VALUES ('COMPUTE_WH'), ('WH_XS'), ('WH_LOAD')) v(n) WHERE NOT EXISTS (FROM "_SF".main."_SF_WAREHOUSE");
