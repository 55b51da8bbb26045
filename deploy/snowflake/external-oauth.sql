-- Every user of the gateway as a user of Snowflake: the gateway signs a token for each (External OAuth).
--
-- Snowflake then knows who asked: its own grants, masking and row access policies and its query history are those of the
-- person. No secret of a user is stored anywhere. The price: whoever has the signing key can act as every user of
-- the account in the roles of the list below, so keep it as you keep the key of a certificate authority
-- (0400, or a mounted secret), and the list short.
--
-- Run it as ACCOUNTADMIN. Replace what stands in <angle brackets>. It can be run again.
--
-- The key:  openssl genrsa 2048 | openssl pkcs8 -topk8 -out external-oauth.p8
--           openssl pkey -in external-oauth.p8 -pubout | grep -v -- ----- | tr -d '\n'
--           chmod 600 external-oauth.p8
--
-- The gateway then needs:
--   snowflake:
--     connections:
--       people:
--         account: <MYORG-MYACCOUNT>
--         authenticator: external_oauth
--         issuer: https://<snowgate.example.com>                      # as below, to the letter
--         audience: https://<myorg-myaccount>.snowflakecomputing.com  # as below, to the letter
--         private_key_file: external-oauth.p8
--         users: {alice: ALICE@EXAMPLE.COM}     # principal of the gateway: LOGIN_NAME at Snowflake
--         user: "{subject}@EXAMPLE.COM"         # of everybody else; leave it out and they are refused
--         role: SNOWGATE_READER
--         warehouse: SNOWGATE_WH
--   policies:
--     - {connection: people, roles: [SNOWGATE_READER]}

-- 1. Whose tokens are believed.
CREATE OR REPLACE SECURITY INTEGRATION SNOWGATE_EXTERNAL_OAUTH
  TYPE = EXTERNAL_OAUTH
  ENABLED = TRUE
  EXTERNAL_OAUTH_TYPE = CUSTOM
  -- Any text that names this gateway and no other; it need not be reachable.
  EXTERNAL_OAUTH_ISSUER = 'https://<snowgate.example.com>'
  EXTERNAL_OAUTH_RSA_PUBLIC_KEY = '<MIIBIjANBgkq...>'
  -- A second key while the first is replaced (private_key_file_2):
  -- EXTERNAL_OAUTH_RSA_PUBLIC_KEY_2 = '<MIIBIjANBgkq...>'
  EXTERNAL_OAUTH_AUDIENCE_LIST = ('https://<myorg-myaccount>.snowflakecomputing.com')
  -- `sub` of the token is the user's LOGIN_NAME.
  EXTERNAL_OAUTH_TOKEN_USER_MAPPING_CLAIM = 'sub'
  EXTERNAL_OAUTH_SNOWFLAKE_USER_MAPPING_ATTRIBUTE = 'LOGIN_NAME'
  -- `scp` is a list of one: session:role:<ROLE>. No token of the gateway says "any role", and none could:
  EXTERNAL_OAUTH_SCOPE_MAPPING_ATTRIBUTE = 'scp'
  EXTERNAL_OAUTH_ANY_ROLE_MODE = DISABLE
  -- The second fence behind the gateway's own policy: no other primary role, whatever a token says. Of secondary roles
  -- it says nothing: see 3.
  EXTERNAL_OAUTH_ALLOWED_ROLES_LIST = ('SNOWGATE_READER')
  COMMENT = 'users of snowgate, the MCP gateway';

-- 2. Who may come: an ordinary user with the role, who keeps his own way to log in.
-- CREATE USER ALICE LOGIN_NAME = 'ALICE@EXAMPLE.COM' DEFAULT_SECONDARY_ROLES = ();
-- GRANT ROLE SNOWGATE_READER TO USER ALICE;

-- 3. Required: no secondary roles. A user's DEFAULT_SECONDARY_ROLES are ('ALL') unless somebody changed them, and then
--    whatever any role of the user may read or change is open beside the role of the token: the list above and the
--    gateway's policy would hold for CREATE alone. For each user who comes through the gateway (it counts for his other ways to
--    log in as well):
-- ALTER USER ALICE SET DEFAULT_SECONDARY_ROLES = ();
--    Or with a session policy, which nobody can undo for himself. For the account it counts for everybody there, with or
--    without the gateway; instead, for each user: ALTER USER ... SET SESSION POLICY. One that is set already is altered:
-- CREATE SESSION POLICY <SALES>.PUBLIC.SNOWGATE_ONE_ROLE ALLOWED_SECONDARY_ROLES = ();
-- ALTER ACCOUNT SET SESSION POLICY <SALES>.PUBLIC.SNOWGATE_ONE_ROLE;
--    `snowgate doctor` tells where a secondary role is active. For a user:
-- SHOW USERS LIKE 'ALICE' ->> SELECT "name", "default_secondary_roles" FROM $1;

-- 4. From where: the network policies of the account and of the users count for these tokens too. A user who may come
--    from the office only has to be allowed the gateway's addresses as well (a network rule as in setup.sql):
-- ALTER NETWORK POLICY <OFFICE_POLICY> ADD ALLOWED_NETWORK_RULE_LIST = ('<SALES>.PUBLIC.SNOWGATE_RULE');

-- 5. What Snowflake sees of a token that it refuses:
DESC SECURITY INTEGRATION SNOWGATE_EXTERNAL_OAUTH;
-- SELECT SYSTEM$VERIFY_EXTERNAL_OAUTH_TOKEN('<token>');
