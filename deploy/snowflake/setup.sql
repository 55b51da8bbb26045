-- The ordinary set-up: one service user for the gateway, that can read and nothing else.
--
-- Run it as a user with the role ACCOUNTADMIN (or SECURITYADMIN and SYSADMIN for their parts), once per account.
-- Replace what stands in <angle brackets>; the names SNOWGATE_* may be kept. It can be run again.
--
-- The gateway then needs:
--   snowflake:
--     connections:
--       main: {account: <MYORG-MYACCOUNT>, user: SNOWGATE, authenticator: snowflake_jwt,
--              private_key_file: key.p8, role: SNOWGATE_READER, warehouse: SNOWGATE_WH}

-- 1. A warehouse of its own, that sleeps when nobody asks, and ends what runs away.
CREATE WAREHOUSE IF NOT EXISTS SNOWGATE_WH
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 600
  STATEMENT_QUEUED_TIMEOUT_IN_SECONDS = 120;

-- 2. What it may cost. The gateway counts statements; only Snowflake counts credits.
CREATE RESOURCE MONITOR IF NOT EXISTS SNOWGATE_MONITOR
  WITH CREDIT_QUOTA = 50 FREQUENCY = MONTHLY START_TIMESTAMP = IMMEDIATELY
  TRIGGERS ON 80 PERCENT DO NOTIFY
           ON 100 PERCENT DO SUSPEND
           ON 110 PERCENT DO SUSPEND_IMMEDIATE;
ALTER WAREHOUSE SNOWGATE_WH SET RESOURCE_MONITOR = SNOWGATE_MONITOR;

-- 3. A role that can read. This is the real fence: what it cannot do, no statement can, whatever the gateway thinks.
CREATE ROLE IF NOT EXISTS SNOWGATE_READER;
GRANT USAGE ON WAREHOUSE SNOWGATE_WH TO ROLE SNOWGATE_READER;
GRANT USAGE ON DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT USAGE ON ALL SCHEMAS IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT USAGE ON FUTURE SCHEMAS IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT SELECT ON ALL TABLES IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT SELECT ON FUTURE TABLES IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT SELECT ON ALL VIEWS IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
GRANT SELECT ON FUTURE VIEWS IN DATABASE <SALES> TO ROLE SNOWGATE_READER;
-- Shared data, such as SNOWFLAKE_SAMPLE_DATA:
-- GRANT IMPORTED PRIVILEGES ON DATABASE SNOWFLAKE_SAMPLE_DATA TO ROLE SNOWGATE_READER;

-- 4. From where it may come: the addresses that the gateway's traffic leaves from. Tokens (PAT) need such a policy.
CREATE NETWORK RULE IF NOT EXISTS <SALES>.PUBLIC.SNOWGATE_RULE
  MODE = INGRESS TYPE = IPV4 VALUE_LIST = ('<203.0.113.10/32>');
CREATE NETWORK POLICY IF NOT EXISTS SNOWGATE_POLICY
  ALLOWED_NETWORK_RULE_LIST = ('<SALES>.PUBLIC.SNOWGATE_RULE');

-- 5. The user. TYPE = SERVICE: no password, no log-in by a person. No secondary roles: a statement has the one role
--    that the gateway sends with it, not every role that was ever granted to the user.
--
--    The key:  openssl genrsa 2048 | openssl pkcs8 -topk8 -out key.p8      (asks for a passphrase)
--              openssl pkey -in key.p8 -pubout | grep -v -- ----- | tr -d '\n'   (what goes in here)
--              chmod 600 key.p8
CREATE USER IF NOT EXISTS SNOWGATE
  TYPE = SERVICE
  DEFAULT_ROLE = SNOWGATE_READER
  DEFAULT_WAREHOUSE = SNOWGATE_WH
  DEFAULT_SECONDARY_ROLES = ()
  NETWORK_POLICY = SNOWGATE_POLICY
  RSA_PUBLIC_KEY = '<MIIBIjANBgkq...>'
  COMMENT = 'snowgate, the MCP gateway';
GRANT ROLE SNOWGATE_READER TO USER SNOWGATE;

-- 6. Rotation of the key, without an outage:
--      a. make a second key, set it beside the first:
--           ALTER USER SNOWGATE SET RSA_PUBLIC_KEY_2 = '<MIIBIjANBgkq...>';
--      b. private_key_file_2: next-key.p8, then SIGHUP: the gateway tries it where the first is refused
--      c. take the first away:        ALTER USER SNOWGATE UNSET RSA_PUBLIC_KEY;
--      d. make the second the only one in the configuration, at leisure

-- Other ways to log in, in place of the key:
--   programmatic_access_token
--     ALTER USER SNOWGATE ADD PROGRAMMATIC ACCESS TOKEN SNOWGATE_TOKEN
--       ROLE_RESTRICTION = 'SNOWGATE_READER' DAYS_TO_EXPIRY = 90;     -- shown once; into token_file
--   workload_identity, with a token of the platform's OIDC issuer (Kubernetes: a projected serviceAccountToken with
--   audience snowflakecomputing.com)
--     CREATE USER SNOWGATE TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC
--       ISSUER = '<https://kubernetes.example.com>' SUBJECT = '<system:serviceaccount:snowgate:snowgate>')
--       DEFAULT_ROLE = SNOWGATE_READER DEFAULT_SECONDARY_ROLES = ();
--   external_oauth, where each user of the gateway is a user of Snowflake: external-oauth.sql

-- What the user can do in the end; there should be no INSERT, UPDATE, CREATE or OWNERSHIP:
SHOW GRANTS TO ROLE SNOWGATE_READER;
SHOW GRANTS TO USER SNOWGATE;
