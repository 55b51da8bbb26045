-- Snowflake's functions, catalog views and memory of names, over DuckDB. Run once when the engine opens; "_SF" is
-- attached before. Everything here is called through the search path, which ends in memory.main.

-- conditional and numeric
CREATE MACRO memory.main."/"(a, b) AS _sf_divide(a, b);
CREATE MACRO memory.main._sf_checked(b) AS CASE WHEN b = 0 THEN error('Division by zero') ELSE b END;
CREATE MACRO memory.main."%"(a, b) AS system.main."%"(a, _sf_checked(b));
CREATE MACRO memory.main.mod(a, b) AS system.main."%"(a, _sf_checked(b));
CREATE MACRO memory.main._sf_avg(s, n) AS _sf_divide(s, NULLIF(n, 0));
CREATE MACRO memory.main.iff(c, a, b) AS CASE WHEN c THEN a ELSE b END;
CREATE MACRO memory.main.nvl(a, b) AS COALESCE(a, b);
CREATE MACRO memory.main.nvl2(a, b, c) AS CASE WHEN a IS NOT NULL THEN b ELSE c END;
CREATE MACRO memory.main.zeroifnull(a) AS COALESCE(a, 0);
CREATE MACRO memory.main.nullifzero(a) AS NULLIF(a, 0);
CREATE MACRO memory.main.div0(a, b) AS CASE WHEN b = 0 THEN _sf_divide(0, 1) ELSE _sf_divide(a, CASE WHEN b = 0 THEN 1 ELSE b END) END;
CREATE MACRO memory.main.div0null(a, b) AS CASE WHEN COALESCE(b, 0) = 0 THEN _sf_divide(0, 1) ELSE _sf_divide(a, CASE WHEN COALESCE(b, 0) = 0 THEN 1 ELSE b END) END;
CREATE MACRO memory.main.square(a) AS a * a;
CREATE MACRO memory.main.equal_null(a, b) AS a IS NOT DISTINCT FROM b;
CREATE MACRO memory.main.booland(a, b) AS CAST(a AS BOOLEAN) AND CAST(b AS BOOLEAN);
CREATE MACRO memory.main.boolor(a, b) AS CAST(a AS BOOLEAN) OR CAST(b AS BOOLEAN);
CREATE MACRO memory.main.boolnot(a) AS NOT CAST(a AS BOOLEAN);
CREATE MACRO memory.main.boolxor(a, b) AS CAST(a AS BOOLEAN) <> CAST(b AS BOOLEAN);
CREATE MACRO memory.main.bitand(a, b) AS CAST(a AS BIGINT) & CAST(b AS BIGINT);
CREATE MACRO memory.main.bitor(a, b) AS CAST(a AS BIGINT) | CAST(b AS BIGINT);
CREATE MACRO memory.main.bitxor(a, b) AS xor(CAST(a AS BIGINT), CAST(b AS BIGINT));
CREATE MACRO memory.main.bitnot(a) AS ~CAST(a AS BIGINT);
CREATE MACRO memory.main.bitshiftleft(a, n) AS CAST(a AS BIGINT) << CAST(n AS BIGINT);
CREATE MACRO memory.main.bitshiftright(a, n) AS CAST(a AS BIGINT) >> CAST(n AS BIGINT);
CREATE MACRO memory.main.log(b, x) AS ln(x) / ln(b);
CREATE MACRO memory.main._sf_truncate(x) AS trunc(x), (x, n) AS CAST(trunc(x * power(10, n)) AS DOUBLE) / power(10, n);
CREATE MACRO memory.main.width_bucket(x, lo, hi, n) AS CASE WHEN x < lo THEN 0 WHEN x >= hi THEN n + 1 ELSE CAST(floor(CAST(x - lo AS DOUBLE) / CAST(hi - lo AS DOUBLE) * n) AS BIGINT) + 1 END;
CREATE MACRO memory.main.haversine(a, b, c, d) AS 2 * 6371.0 * asin(sqrt(pow(sin(radians(c - a) * 0.5), 2) + cos(radians(a)) * cos(radians(c)) * pow(sin(radians(d - b) * 0.5), 2)));
CREATE MACRO memory.main.uniform(a, b, r) AS CAST(a + floor(random() * (b - a + 1)) AS BIGINT);
CREATE MACRO memory.main._sf_random() AS CAST((random() - 0.5) * 18446744073709551614 AS HUGEINT), (seed) AS CAST((random() - 0.5) * 18446744073709551614 AS HUGEINT);
CREATE MACRO memory.main._sf_hash(a) AS CAST(hash(a) AS HUGEINT) - 9223372036854775808, (a, b) AS CAST(hash(a, b) AS HUGEINT) - 9223372036854775808, (a, b, c) AS CAST(hash(a, b, c) AS HUGEINT) - 9223372036854775808;
CREATE MACRO memory.main._sf_greatest(a) AS a, (a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE greatest(a, b) END, (a, b, c) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL THEN NULL ELSE greatest(a, b, c) END, (a, b, c, d) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL OR d IS NULL THEN NULL ELSE greatest(a, b, c, d) END;
CREATE MACRO memory.main._sf_least(a) AS a, (a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE least(a, b) END, (a, b, c) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL THEN NULL ELSE least(a, b, c) END, (a, b, c, d) AS CASE WHEN a IS NULL OR b IS NULL OR c IS NULL OR d IS NULL THEN NULL ELSE least(a, b, c, d) END;

-- text
CREATE MACRO memory.main._sf_zone_text(s) AS s[:19] || '.' || rpad(regexp_extract(s, '\.(\d{1,3})', 1), 3, '0') || ' ' || regexp_replace(rpad(replace(regexp_extract(s, '[+-]\d\d(:\d\d)?$'), ':', ''), 5, '0'), '^$', '+0000');
CREATE MACRO memory.main._sf_text(x) AS CASE typeof(x)
	WHEN 'JSON' THEN json_extract_string(to_json(x), '$')
	WHEN 'TIMESTAMP' THEN CAST(x AS VARCHAR)[:19] || '.' || rpad(CAST(x AS VARCHAR)[21:23], 3, '0')
	WHEN 'TIMESTAMP WITH TIME ZONE' THEN _sf_zone_text(CAST(x AS VARCHAR))
	WHEN 'DOUBLE' THEN regexp_replace(CAST(x AS VARCHAR), '\.0$', '')
	WHEN '_SF_TZ' THEN CAST(x AS VARCHAR)[:23] || CAST(x AS VARCHAR)[30:]
	ELSE CAST(x AS VARCHAR) END;
-- TIMESTAMP_TZ: a text without an offset is of the session's zone
CREATE MACRO memory.main._sf_zone_offset(t) AS date_diff('minute', timezone('UTC', CAST(t AS TIMESTAMPTZ)), t);
CREATE MACRO memory.main._sf_offset_text(m) AS CASE WHEN m < 0 THEN ' -' ELSE ' +' END || printf('%02d%02d', abs(m) // 60, abs(m) % 60);
CREATE MACRO memory.main._sf_with_offset(x) AS CASE WHEN regexp_matches(CAST(x AS VARCHAR), ':\d.*([+-]\d\d?(:?\d\d)?|[Zz])\s*$') OR TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP) IS NULL THEN CAST(x AS VARCHAR) ELSE CAST(x AS VARCHAR) || _sf_offset_text(_sf_zone_offset(CAST(CAST(x AS VARCHAR) AS TIMESTAMP))) END;
CREATE MACRO memory.main._sf_ltz(x) AS CASE WHEN typeof(x) = 'VARCHAR' THEN CAST(CAST(_sf_with_offset(x) AS _SF_TZ) AS TIMESTAMPTZ) ELSE CAST(x AS TIMESTAMPTZ) END;
CREATE MACRO memory.main._sf_length(s) AS length(_sf_text(s));
CREATE MACRO memory.main._sf_octets(s) AS strlen(_sf_text(s));
CREATE MACRO memory.main._sf_bits(s) AS 8 * strlen(_sf_text(s));
CREATE MACRO memory.main._sf_hex(s) AS hex(s);
CREATE MACRO memory.main.hex_decode_string(s) AS decode(unhex(s));
CREATE MACRO memory.main.hex_decode_binary(s) AS unhex(s);
CREATE MACRO memory.main.to_binary(s) AS CAST(s AS BLOB), (s, f) AS CASE upper(f) WHEN 'HEX' THEN CAST(s AS BLOB) WHEN 'UTF-8' THEN encode(s) WHEN 'UTF8' THEN encode(s) WHEN 'BASE64' THEN from_base64(s) END;
CREATE MACRO memory.main.base64_encode(s) AS to_base64(encode(_sf_text(s)));
CREATE MACRO memory.main.base64_decode_string(s) AS decode(from_base64(s));
CREATE MACRO memory.main.space(n) AS repeat(' ', n);
CREATE MACRO memory.main.charindex(n, h) AS strpos(h, n), (n, h, p) AS CASE WHEN strpos(h[CAST(p AS BIGINT):], n) = 0 THEN 0 ELSE strpos(h[CAST(p AS BIGINT):], n) + p - 1 END;
CREATE MACRO memory.main.startswith(s, p) AS starts_with(s, p);
CREATE MACRO memory.main.endswith(s, p) AS ends_with(s, p);
CREATE MACRO memory.main.initcap(s) AS array_to_string(list_transform(regexp_extract_all(lower(s), '[\p{L}\p{N}]+|[^\p{L}\p{N}]+'), lambda w: upper(w[1]) || w[2:]), '');
CREATE MACRO memory.main.insert(s, p, n, x) AS s[:p - 1] || x || s[p + n:];
CREATE MACRO memory.main.editdistance(a, b) AS levenshtein(a, b);
CREATE MACRO memory.main.jarowinkler_similarity(a, b) AS CAST(round(jaro_winkler_similarity(lower(a), lower(b)) * 100) AS BIGINT);
CREATE MACRO memory.main.split(s, d) AS to_json(string_split(s, d));
CREATE MACRO memory.main._sf_tokens(s, d) AS list_filter(regexp_split_to_array(_sf_text(s), '[' || regexp_escape(d) || ']'), lambda w: w <> '');
CREATE MACRO memory.main.strtok(s) AS _sf_tokens(s, ' ')[1], (s, d) AS _sf_tokens(s, d)[1], (s, d, n) AS _sf_tokens(s, d)[CAST(n AS BIGINT)];
CREATE MACRO memory.main.strtok_to_array(s) AS to_json(_sf_tokens(s, ' ')), (s, d) AS to_json(_sf_tokens(s, d));
CREATE MACRO memory.main._sf_split_part(s, d, n) AS CASE WHEN d = '' THEN CASE WHEN n IN (-1, 0, 1) THEN _sf_text(s) ELSE '' END ELSE split_part(_sf_text(s), d, CASE WHEN n = 0 THEN 1 ELSE CAST(n AS BIGINT) END) END;
CREATE MACRO memory.main._sf_lpad(s, n) AS lpad(_sf_text(s), CAST(n AS INTEGER), ' '), (s, n, p) AS lpad(_sf_text(s), CAST(n AS INTEGER), p);
CREATE MACRO memory.main._sf_rpad(s, n) AS rpad(_sf_text(s), CAST(n AS INTEGER), ' '), (s, n, p) AS rpad(_sf_text(s), CAST(n AS INTEGER), p);
CREATE MACRO memory.main._sf_replace(s, p) AS replace(_sf_text(s), p, ''), (s, p, r) AS replace(_sf_text(s), p, r);
CREATE MACRO memory.main._sf_contains(s, p) AS strpos(_sf_text(s), _sf_text(p)) > 0;
CREATE MACRO memory.main._sf_chr(n) AS chr(CAST(n AS INTEGER));
CREATE MACRO memory.main._sf_binary_text(b, f) AS CASE upper(f) WHEN 'HEX' THEN CAST(CAST(b AS BLOB) AS VARCHAR) WHEN 'BASE64' THEN to_base64(CAST(b AS BLOB)) ELSE decode(CAST(b AS BLOB)) END;
CREATE MACRO memory.main.try_to_binary(s) AS TRY_CAST(s AS BLOB), (s, f) AS CASE upper(f) WHEN 'HEX' THEN TRY_CAST(s AS BLOB) WHEN 'BASE64' THEN TRY(from_base64(s)) ELSE encode(s) END;
CREATE MACRO memory.main._sf_like(s, p) AS _sf_text(s) LIKE p;
CREATE MACRO memory.main.sha2(s) AS sha256(s), (s, n) AS CASE WHEN n IN (0, 256) THEN sha256(s) ELSE error('Unsupported feature ''SHA2 of this length''') END;
CREATE MACRO memory.main.uuid_string() AS CAST(uuid() AS VARCHAR);
CREATE MACRO memory.main.ilike(s, p) AS s ILIKE p;
CREATE MACRO memory.main.regexp_like(s, p) AS regexp_full_match(s, p);
CREATE MACRO memory.main._sf_pattern(p, f) AS CASE WHEN regexp_replace(f, '[ec]', '', 'g') = '' THEN p ELSE '(?' || regexp_replace(f, '[ec]', '', 'g') || ')' || p END;
CREATE MACRO memory.main._sf_regexp_replace(s, p) AS regexp_replace(s, p, '', 'g'), (s, p, r) AS regexp_replace(s, p, r, 'g'), (s, p, r, pos) AS s[:CAST(pos AS BIGINT) - 1] || regexp_replace(s[CAST(pos AS BIGINT):], p, r, 'g'), (s, p, r, pos, n) AS s[:CAST(pos AS BIGINT) - 1] || CASE n WHEN 0 THEN regexp_replace(s[CAST(pos AS BIGINT):], p, r, 'g') WHEN 1 THEN regexp_replace(s[CAST(pos AS BIGINT):], p, r) ELSE error('Unsupported feature ''REGEXP_REPLACE of a later occurrence''') END, (s, p, r, pos, n, f) AS s[:CAST(pos AS BIGINT) - 1] || CASE n WHEN 0 THEN regexp_replace(s[CAST(pos AS BIGINT):], _sf_pattern(p, f), r, 'g') ELSE regexp_replace(s[CAST(pos AS BIGINT):], _sf_pattern(p, f), r) END;
CREATE MACRO memory.main.regexp_substr(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END, (s, p, pos) AS CASE WHEN regexp_matches(s[CAST(pos AS BIGINT):], p) THEN regexp_extract(s[CAST(pos AS BIGINT):], p) END, (s, p, pos, n) AS regexp_extract_all(s[CAST(pos AS BIGINT):], p)[CAST(n AS BIGINT)], (s, p, pos, n, f) AS regexp_extract_all(s[CAST(pos AS BIGINT):], _sf_pattern(p, f), CASE WHEN contains(f, 'e') THEN 1 ELSE 0 END)[CAST(n AS BIGINT)], (s, p, pos, n, f, g) AS regexp_extract_all(s[CAST(pos AS BIGINT):], _sf_pattern(p, f), CAST(g AS INTEGER))[CAST(n AS BIGINT)];
CREATE MACRO memory.main._sf_regexp_all(s, p) AS to_json(regexp_extract_all(s, p)), (s, p, pos) AS to_json(regexp_extract_all(s[CAST(pos AS BIGINT):], p));
CREATE MACRO memory.main.regexp_count(s, p) AS len(regexp_extract_all(s, p)), (s, p, pos) AS len(regexp_extract_all(s[CAST(pos AS BIGINT):], p)), (s, p, pos, f) AS len(regexp_extract_all(s[CAST(pos AS BIGINT):], _sf_pattern(p, f)));
CREATE MACRO memory.main.regexp_instr(s, p) AS CASE WHEN regexp_matches(s, p) THEN strpos(s, regexp_extract(s, p)) ELSE 0 END;
CREATE MACRO memory.main._sf_join_desc(l, sep) AS array_to_string(list_reverse_sort(l), sep);
CREATE MACRO memory.main._sf_join(l, sep) AS array_to_string(list_sort(l), sep);

-- dates
CREATE MACRO memory.main._sf_to_date(x, n) AS CASE WHEN typeof(x) = 'VARCHAR' AND regexp_full_match(CAST(x AS VARCHAR), '\d{1,2}/\d{1,2}/\d{4}') THEN CAST(strptime(CAST(x AS VARCHAR), '%m/%d/%Y') AS DATE) ELSE CAST(x AS DATE) END;
CREATE MACRO memory.main._sf_try_to_date(x, n) AS TRY_CAST(x AS DATE);
CREATE MACRO memory.main._sf_epoch(x, n) AS to_timestamp(CAST(CAST(x AS VARCHAR) AS DOUBLE) / CAST(power(10, n) AS DOUBLE));
CREATE MACRO memory.main._sf_is_number(x) AS typeof(x) IN ('INTEGER', 'BIGINT', 'HUGEINT', 'SMALLINT', 'TINYINT') OR typeof(x) LIKE 'DECIMAL%' OR (typeof(x) = 'VARCHAR' AND regexp_full_match(CAST(x AS VARCHAR), '-?\d{6,}'));
CREATE MACRO memory.main._sf_to_timestamp(x, n) AS CASE WHEN _sf_is_number(x) THEN timezone('UTC', _sf_epoch(CAST(x AS VARCHAR), n)) ELSE CAST(CAST(x AS VARCHAR) AS TIMESTAMP) END;
CREATE MACRO memory.main._sf_to_timestamptz(x, n) AS CASE WHEN _sf_is_number(x) THEN _sf_epoch(CAST(x AS VARCHAR), n) ELSE _sf_ltz(x) END;
CREATE MACRO memory.main._sf_try_to_timestamp(x, n) AS TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP);
CREATE MACRO memory.main._sf_try_to_timestamptz(x, n) AS CAST(TRY_CAST(_sf_with_offset(x) AS _SF_TZ) AS TIMESTAMPTZ);
CREATE MACRO memory.main._sf_to_tz(x, n) AS CASE WHEN _sf_is_number(x) THEN CAST(CAST(_sf_epoch(CAST(x AS VARCHAR), n) AS TIMESTAMPTZ) AS _SF_TZ) ELSE CAST(_sf_with_offset(x) AS _SF_TZ) END;
CREATE MACRO memory.main._sf_try_to_tz(x, n) AS TRY_CAST(_sf_with_offset(x) AS _SF_TZ);
CREATE MACRO memory.main._sf_to_time(x, n) AS CAST(x AS TIME);
CREATE MACRO memory.main._sf_try_to_time(x, n) AS TRY_CAST(x AS TIME);
CREATE MACRO memory.main._sf_diff(p, a, b) AS CASE p WHEN 'week' THEN date_diff('day', date_trunc('week', CAST(a AS TIMESTAMP)), date_trunc('week', CAST(b AS TIMESTAMP))) // 7 ELSE date_diff(p, CAST(a AS TIMESTAMP), CAST(b AS TIMESTAMP)) END;
CREATE MACRO memory.main._sf_trunc(p, d) AS _sf_same(d, date_trunc(p, d));
CREATE MACRO memory.main._sf_part(p, d) AS CASE p WHEN 'epoch_second' THEN CAST(floor(epoch(CAST(d AS TIMESTAMP))) AS BIGINT) WHEN 'epoch_millisecond' THEN epoch_ms(CAST(d AS TIMESTAMP)) WHEN 'second' THEN second(CAST(d AS TIMESTAMP)) WHEN 'nanosecond' THEN CAST(microsecond(CAST(d AS TIMESTAMP)) % 1000000 * 1000 AS BIGINT) ELSE date_part(CASE WHEN p IN ('epoch_second', 'epoch_millisecond', 'nanosecond') THEN 'second' ELSE p END, CAST(d AS TIMESTAMP)) END;
CREATE MACRO memory.main._sf_dayname(d) AS strftime(CAST(d AS TIMESTAMP), '%a');
CREATE MACRO memory.main._sf_monthname(d) AS strftime(CAST(d AS TIMESTAMP), '%b');
CREATE MACRO memory.main._sf_last_day(p, d) AS CASE p WHEN 'year' THEN make_date(year(CAST(d AS DATE)), 12, 31) WHEN 'quarter' THEN last_day(CAST(date_trunc('quarter', CAST(d AS DATE)) + INTERVAL 2 MONTH AS DATE)) WHEN 'week' THEN CAST(date_trunc('week', CAST(d AS DATE)) + INTERVAL 6 DAY AS DATE) ELSE last_day(CAST(d AS DATE)) END;
CREATE MACRO memory.main.next_day(d, n) AS (SELECT CAST(d AS DATE) + CAST(i AS INTEGER) FROM range(1, 8) t(i) WHERE lower(strftime(CAST(d AS DATE) + CAST(i AS INTEGER), '%a'))[:2] = lower(n)[:2]);
CREATE MACRO memory.main.previous_day(d, n) AS (SELECT CAST(d AS DATE) - CAST(i AS INTEGER) FROM range(1, 8) t(i) WHERE lower(strftime(CAST(d AS DATE) - CAST(i AS INTEGER), '%a'))[:2] = lower(n)[:2]);
CREATE MACRO memory.main.months_between(a, b) AS CASE WHEN day(CAST(a AS DATE)) = day(CAST(b AS DATE)) OR (CAST(a AS DATE) = last_day(CAST(a AS DATE)) AND CAST(b AS DATE) = last_day(CAST(b AS DATE))) THEN CAST(date_diff('month', CAST(b AS DATE), CAST(a AS DATE)) AS DECIMAL(38,6)) ELSE CAST(date_diff('month', CAST(b AS DATE), CAST(a AS DATE)) + (day(CAST(a AS DATE)) - day(CAST(b AS DATE))) / 31.0 AS DECIMAL(38,6)) END;
CREATE MACRO memory.main.date_from_parts(y, m, d) AS CAST(make_date(CAST(y AS BIGINT), 1, 1) + to_months(CAST(m AS INTEGER) - 1) + to_days(CAST(d AS INTEGER) - 1) AS DATE);
CREATE MACRO memory.main.timestamp_ntz_from_parts(y, m, d, h, i, s) AS make_timestamp(CAST(y AS BIGINT), CAST(m AS BIGINT), CAST(d AS BIGINT), CAST(h AS BIGINT), CAST(i AS BIGINT), CAST(s AS DOUBLE));
CREATE MACRO memory.main.time_from_parts(h, i, s) AS make_time(CAST(h AS BIGINT), CAST(i AS BIGINT), CAST(s AS DOUBLE));
CREATE MACRO memory.main.dayofweek(d) AS date_part('dow', CAST(d AS TIMESTAMP));
CREATE MACRO memory.main.convert_timezone(tz, t) AS timezone(tz, CAST(t AS TIMESTAMPTZ)), (src, dst, t) AS timezone(dst, timezone(src, CAST(t AS TIMESTAMP)));
CREATE MACRO memory.main.sysdate() AS timezone('UTC', now());
CREATE MACRO memory.main._sf_interval(s) AS CAST(regexp_replace(replace(s, ',', ' '), '(^|[^0-9A-Za-z])(\d+)$', '\1\2 seconds') AS INTERVAL);

-- semi-structured data
CREATE MACRO memory.main._sf_variant(x) AS to_json(x);
CREATE MACRO memory.main._sf_path(j, p) AS json_extract(to_json(j), p);
CREATE MACRO memory.main._sf_path_text(j, p) AS json_extract_string(to_json(j), p);
CREATE MACRO memory.main._sf_path_number(j, p) AS TRY_CAST(json_extract_string(to_json(j), p) AS DOUBLE);
CREATE MACRO memory.main._sf_get(j, k) AS json_extract(to_json(j), CASE WHEN typeof(k) = 'VARCHAR' THEN '$."' || k || '"' ELSE '$[' || k || ']' END);
CREATE MACRO memory.main.get_path(j, p) AS json_extract(to_json(j), '$.' || p);
CREATE MACRO memory.main.parse_json(x) AS CAST(json(CAST(x AS JSON)) AS JSON);
CREATE MACRO memory.main.try_parse_json(x) AS CAST(json(TRY_CAST(x AS JSON)) AS JSON);
CREATE MACRO memory.main.check_json(x) AS CASE WHEN x IS NULL OR json_valid(x) THEN NULL ELSE 'Error parsing JSON' END;
CREATE MACRO memory.main._sf_json_text(x) AS CAST(to_json(x) AS VARCHAR);
CREATE MACRO memory.main.strip_null_value(x) AS CASE WHEN json_type(to_json(x)) = 'NULL' THEN NULL ELSE to_json(x) END;
CREATE MACRO memory.main.is_null_value(x) AS json_type(to_json(x)) = 'NULL';
CREATE MACRO memory.main.is_array(x) AS json_type(to_json(x)) = 'ARRAY';
CREATE MACRO memory.main.is_object(x) AS json_type(to_json(x)) = 'OBJECT';
CREATE MACRO memory.main.is_integer(x) AS json_type(to_json(x)) IN ('BIGINT', 'UBIGINT');
CREATE MACRO memory.main.is_varchar(x) AS json_type(to_json(x)) = 'VARCHAR';
CREATE MACRO memory.main.is_boolean(x) AS json_type(to_json(x)) = 'BOOLEAN';
CREATE MACRO memory.main.is_double(x) AS json_type(to_json(x)) IN ('DOUBLE', 'BIGINT', 'UBIGINT');
CREATE MACRO memory.main._sf_as_text(x) AS CASE WHEN json_type(to_json(x)) = 'VARCHAR' THEN json_extract_string(to_json(x), '$') END;
CREATE MACRO memory.main._sf_as_integer(x) AS CASE WHEN json_type(to_json(x)) IN ('BIGINT', 'UBIGINT') THEN CAST(to_json(x) AS HUGEINT) END;
CREATE MACRO memory.main._sf_as_double(x) AS CASE WHEN json_type(to_json(x)) IN ('DOUBLE', 'BIGINT', 'UBIGINT') THEN CAST(to_json(x) AS DOUBLE) END;
CREATE MACRO memory.main._sf_typeof(v) AS CASE json_type(to_json(v)) WHEN 'UBIGINT' THEN 'INTEGER' WHEN 'BIGINT' THEN 'INTEGER' WHEN 'DOUBLE' THEN 'DECIMAL' WHEN 'NULL' THEN 'NULL_VALUE' ELSE json_type(to_json(v)) END;
CREATE MACRO memory.main._sf_list(a) AS CAST(to_json(a) AS JSON[]);
CREATE MACRO memory.main.to_array(x) AS CASE WHEN json_type(to_json(x)) = 'ARRAY' THEN to_json(x) ELSE to_json([to_json(x)]) END;
CREATE MACRO memory.main.array_size(a) AS CASE WHEN json_type(to_json(a)) = 'ARRAY' THEN CAST(json_array_length(to_json(a)) AS BIGINT) END;
CREATE MACRO memory.main._sf_array_contains(v, a) AS list_contains(_sf_list(a), to_json(v));
CREATE MACRO memory.main._sf_array_position(v, a) AS NULLIF(list_position(_sf_list(a), to_json(v)), 0) - 1;
CREATE MACRO memory.main._sf_array_cat(a, b) AS to_json(list_concat(_sf_list(a), _sf_list(b)));
CREATE MACRO memory.main._sf_array_append(a, x) AS to_json(list_append(_sf_list(a), to_json(x)));
CREATE MACRO memory.main._sf_array_prepend(a, x) AS to_json(list_prepend(to_json(x), _sf_list(a)));
CREATE MACRO memory.main._sf_array_distinct(a) AS to_json(list_distinct(_sf_list(a)));
CREATE MACRO memory.main._sf_array_compact(a) AS to_json(list_filter(_sf_list(a), lambda x: x IS NOT NULL AND json_type(x) <> 'NULL'));
CREATE MACRO memory.main._sf_array_slice(a, f, t) AS to_json(list_slice(_sf_list(a), f + 1, t));
CREATE MACRO memory.main._sf_array_sort(a) AS to_json(list_sort(_sf_list(a)));
CREATE MACRO memory.main._sf_array_intersection(a, b) AS to_json(list_intersect(_sf_list(a), _sf_list(b)));
CREATE MACRO memory.main.arrays_overlap(a, b) AS list_has_any(_sf_list(a), _sf_list(b));
CREATE MACRO memory.main._sf_array_except(a, b) AS to_json(list_filter(_sf_list(a), lambda x: NOT list_contains(_sf_list(b), x)));
CREATE MACRO memory.main._sf_array_insert(a, i, x) AS to_json(list_concat(list_concat(list_slice(_sf_list(a), 1, i), [to_json(x)]), list_slice(_sf_list(a), i + 1, len(_sf_list(a)))));
CREATE MACRO memory.main._sf_array_remove_at(a, i) AS to_json(list_concat(list_slice(_sf_list(a), 1, i), list_slice(_sf_list(a), i + 2, len(_sf_list(a)))));
CREATE MACRO memory.main._sf_array_remove(a, v) AS to_json(list_filter(_sf_list(a), lambda x: x <> to_json(v)));
CREATE MACRO memory.main._sf_array_flatten(a) AS to_json(flatten(list_transform(_sf_list(a), lambda x: CAST(x AS JSON[]))));
CREATE MACRO memory.main._sf_array_range(a, b) AS to_json(range(CAST(a AS BIGINT), CAST(b AS BIGINT))), (a, b, n) AS to_json(range(CAST(a AS BIGINT), CAST(b AS BIGINT), CAST(n AS BIGINT)));
CREATE MACRO memory.main._sf_array_reverse(a) AS to_json(list_reverse(_sf_list(a)));
CREATE MACRO memory.main._sf_object_pick(o, names) AS (SELECT COALESCE(json_group_object(key, value), '{}') FROM json_each(to_json(o)) WHERE list_contains(names, key));
CREATE MACRO memory.main.boolxor_agg(x) AS CASE WHEN count(x) = 0 THEN NULL ELSE count_if(x) = 1 END;
CREATE MACRO memory.main._sf_array_max(a) AS list_max(_sf_list(a));
CREATE MACRO memory.main._sf_array_min(a) AS list_min(_sf_list(a));
CREATE MACRO memory.main._sf_array_to_string(a, s) AS array_to_string(list_transform(_sf_list(a), lambda x: json_extract_string(x, '$')), s);
CREATE MACRO memory.main.object_keys(o) AS to_json(json_keys(to_json(o)));
CREATE MACRO memory.main.object_delete(o, k) AS json_merge_patch(to_json(o), json_object(CAST(k AS VARCHAR), NULL));
CREATE MACRO memory.main.object_insert(o, k, v) AS json_merge_patch(to_json(o), json_object(CAST(k AS VARCHAR), v)), (o, k, v, u) AS json_merge_patch(to_json(o), json_object(CAST(k AS VARCHAR), v));
CREATE MACRO memory.main.object_agg(k, v) AS json_group_object(k, v);
CREATE MACRO memory.main._sf_flatten(j) AS TABLE SELECT 1 AS "SEQ", CASE WHEN json_type(j) = 'OBJECT' THEN key END AS "KEY", CASE WHEN json_type(j) = 'OBJECT' THEN key ELSE '[' || key || ']' END AS "PATH", CASE WHEN json_type(j) = 'ARRAY' THEN CAST(key AS BIGINT) END AS "INDEX", value AS "VALUE", j AS "THIS" FROM json_each(j) WHERE json_type(j) IN ('OBJECT', 'ARRAY');
CREATE MACRO memory.main._sf_split(s, d) AS TABLE SELECT 1 AS "SEQ", generate_subscripts(string_split(s, d), 1) AS "INDEX", unnest(string_split(s, d)) AS "VALUE";

-- shapes on the earth as GeoJSON, from GeoJSON or well-known text
CREATE MACRO memory.main._sf_geo_kind(k) AS CASE k WHEN 'POINT' THEN 'Point' WHEN 'LINESTRING' THEN 'LineString' WHEN 'POLYGON' THEN 'Polygon' WHEN 'MULTILINESTRING' THEN 'MultiLineString' WHEN 'MULTIPOLYGON' THEN 'MultiPolygon' ELSE error('Error parsing Geo input: ' || k) END;
CREATE MACRO memory.main._sf_geo_body(s) AS replace(replace(regexp_replace(s, '(-?[0-9.eE+-]+)\s+(-?[0-9.eE+-]+)', '[\1,\2]', 'g'), '(', '['), ')', ']');
CREATE MACRO memory.main._sf_geo(x) AS CASE WHEN x IS NULL THEN NULL WHEN starts_with(trim(_sf_text(x)), '{') THEN CAST(_sf_text(x) AS JSON) ELSE CAST('{"coordinates":' || CASE WHEN regexp_matches(upper(_sf_text(x)), '^\s*POINT') THEN regexp_replace(_sf_geo_body(regexp_extract(_sf_text(x), '\(.*')), '^\[|\]$', '', 'g') ELSE _sf_geo_body(regexp_extract(_sf_text(x), '\(.*')) END || ',"type":"' || _sf_geo_kind(upper(regexp_extract(_sf_text(x), '^\s*([A-Za-z]+)', 1))) || '"}' AS JSON) END;
CREATE MACRO memory.main.st_makepoint(x, y) AS json_object('coordinates', json_array(CAST(x AS DOUBLE), CAST(y AS DOUBLE)), 'type', 'Point');
CREATE MACRO memory.main.st_x(g) AS CAST(json_extract(g, '$.coordinates[0]') AS DOUBLE);
CREATE MACRO memory.main.st_y(g) AS CAST(json_extract(g, '$.coordinates[1]') AS DOUBLE);

-- context
CREATE MACRO memory.main._sf_database() AS CAST(getvariable('sf_database') AS VARCHAR);
CREATE MACRO memory.main._sf_schema() AS CAST(getvariable('sf_schema') AS VARCHAR);
CREATE MACRO memory.main.current_role() AS CAST(getvariable('sf_role') AS VARCHAR);
CREATE MACRO memory.main.current_user() AS CAST(getvariable('sf_user') AS VARCHAR);
CREATE MACRO memory.main.current_warehouse() AS CAST(getvariable('sf_warehouse') AS VARCHAR);
CREATE MACRO memory.main.current_account() AS 'LOCAL';
CREATE MACRO memory.main.current_account_name() AS 'LOCAL';
CREATE MACRO memory.main.current_organization_name() AS 'SNOWGATE';
CREATE MACRO memory.main.current_region() AS 'LOCAL';
CREATE MACRO memory.main.current_session() AS '1';
CREATE MACRO memory.main.current_version() AS '9.30.0';
CREATE MACRO memory.main.current_client() AS 'SQL API';
CREATE MACRO memory.main.current_ip_address() AS '127.0.0.1';
CREATE MACRO memory.main.current_transaction() AS CAST(NULL AS VARCHAR);
CREATE MACRO memory.main.current_statement() AS CAST(getvariable('sf_statement') AS VARCHAR);
CREATE MACRO memory.main.current_available_roles() AS (SELECT CAST(to_json(list(name ORDER BY name)) AS VARCHAR) FROM "_SF".main."_SF_ROLE");
CREATE MACRO memory.main.current_secondary_roles() AS '{"roles":"","value":""}';
CREATE MACRO memory.main.current_schemas() AS '["' || CAST(getvariable('sf_database') AS VARCHAR) || '.' || CAST(getvariable('sf_schema') AS VARCHAR) || '"]';

-- the catalog
CREATE VIEW memory.main."_SF_DB" AS SELECT d.database_name AS db, o.created, COALESCE(o.owner, 'SYSADMIN') AS owner, COALESCE(o.comment, '') AS comment FROM duckdb_databases() d LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = d.database_name AND o.sc = '' AND o.name = '' WHERE NOT d.internal AND d.database_name NOT IN ('memory', '_SF');
CREATE VIEW memory.main."_SF_SCHEMA" AS SELECT s.database_name AS db, s.schema_name AS sc, COALESCE(o.created, d.created) AS created, COALESCE(o.owner, 'SYSADMIN') AS owner, COALESCE(o.comment, '') AS comment FROM duckdb_schemas() s JOIN memory.main."_SF_DB" d ON d.db = s.database_name LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = s.database_name AND o.sc = s.schema_name AND o.name = '' WHERE s.schema_name NOT IN ('main', 'information_schema', 'pg_catalog') UNION ALL SELECT db, 'INFORMATION_SCHEMA', created, '', 'Views describing the contents of schemas in this database' FROM memory.main."_SF_DB";
CREATE VIEW memory.main."_SF_ENTITY" AS SELECT t.database_name AS db, t.schema_name AS sc, t.table_name AS tb, 'TABLE' AS kind, t.estimated_size AS n, o.created, COALESCE(o.owner, 'SYSADMIN') AS owner, COALESCE(o.comment, '') AS comment, NULL AS body FROM duckdb_tables() t LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = t.database_name AND o.sc = t.schema_name AND o.name = t.table_name WHERE NOT t.internal AND t.database_name NOT IN ('memory', '_SF', 'temp', 'system') UNION ALL SELECT t.database_name, t.schema_name, t.view_name, 'VIEW', NULL, o.created, COALESCE(o.owner, 'SYSADMIN'), COALESCE(o.comment, ''), COALESCE(o.body, t.sql) FROM duckdb_views() t LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = t.database_name AND o.sc = t.schema_name AND o.name = t.view_name WHERE NOT t.internal AND t.database_name NOT IN ('memory', '_SF', 'temp', 'system');
CREATE MACRO memory.main._sf_type_name(t) AS CASE WHEN t LIKE 'DECIMAL%' THEN 'NUMBER' || t[8:] WHEN t IN ('BIGINT', 'UINTEGER') THEN 'NUMBER(18,0)' WHEN t IN ('HUGEINT', 'UBIGINT', 'UHUGEINT') THEN 'NUMBER(38,0)' WHEN t = 'INTEGER' THEN 'NUMBER(10,0)' WHEN t = 'SMALLINT' THEN 'NUMBER(5,0)' WHEN t = 'TINYINT' THEN 'NUMBER(3,0)' WHEN t IN ('DOUBLE', 'FLOAT') THEN 'FLOAT' WHEN t = 'VARCHAR' THEN 'VARCHAR(16777216)' WHEN t = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ(9)' WHEN t = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_LTZ(9)' WHEN t = '_SF_TZ' THEN 'TIMESTAMP_TZ(9)' WHEN t = '_SF_DECFLOAT' THEN 'DECFLOAT' WHEN t = 'TIME' THEN 'TIME(9)' WHEN t = 'JSON' THEN 'VARIANT' WHEN t = 'BLOB' THEN 'BINARY(8388608)' WHEN t LIKE '%[]' THEN 'ARRAY' WHEN t LIKE 'FLOAT[%' THEN 'VECTOR(FLOAT, ' || t[7:-2] || ')' WHEN t LIKE 'INTEGER[%' THEN 'VECTOR(INT, ' || t[9:-2] || ')' WHEN t LIKE 'STRUCT%' THEN 'OBJECT' ELSE t END;
CREATE VIEW memory.main."_SF_FIELD" AS SELECT c.database_name AS db, c.schema_name AS sc, c.table_name AS tb, c.column_name AS col, c.column_index AS pos, c.is_nullable AS nullable, CASE WHEN c.column_default LIKE '%nextval(%' THEN NULL ELSE regexp_replace(regexp_replace(c.column_default, '^CAST\((.*) AS [A-Z0-9(),]+\)$', '\1'), '^\((.*)\)$', '\1') END AS def, COALESCE(c.column_default LIKE '%nextval(%', false) AS auto, COALESCE(m.comment, '') AS comment, COALESCE(m.is_primary, false) AS is_primary, COALESCE(m.is_unique, false) AS is_unique,
	COALESCE(m.type, _sf_type_name(c.data_type)) AS type
	FROM duckdb_columns() c LEFT JOIN "_SF".main."_SF_COLUMN" m ON m.db = c.database_name AND m.sc = c.schema_name AND m.tb = c.table_name AND m.col = c.column_name WHERE NOT c.internal AND c.database_name NOT IN ('memory', '_SF', 'temp', 'system');
CREATE VIEW memory.main."_SF_TYPED" AS SELECT *, regexp_extract(type, '^[A-Z_]+') AS base, TRY_CAST(regexp_extract(type, '\((\d+)', 1) AS BIGINT) AS arg1, TRY_CAST(regexp_extract(type, ',(\d+)\)', 1) AS BIGINT) AS arg2 FROM memory.main."_SF_FIELD";
CREATE VIEW memory.main."_SF_NAME" AS SELECT db, '' AS sc, '' AS tb, 'DATABASE' AS kind FROM memory.main."_SF_DB" UNION ALL SELECT db, sc, '', 'SCHEMA' FROM memory.main."_SF_SCHEMA" UNION ALL SELECT db, sc, tb, kind FROM memory.main."_SF_ENTITY" UNION ALL SELECT database_name, schema_name, sequence_name, 'SEQUENCE' FROM duckdb_sequences();
CREATE VIEW memory.main."_SF_FUNCTION" AS SELECT database_name AS db, schema_name AS sc, function_name AS tb FROM duckdb_functions() WHERE function_type = 'macro' AND database_name NOT IN ('memory', 'system', '_SF', 'temp');
-- Part i, from the end, of a name in a string: "quoted" keeps its case. Names with a dot inside quotes are not cut apart.
CREATE MACRO memory.main._sf_name_part(name, i) AS (CASE WHEN string_split(name, '.')[i] LIKE '"%"' THEN replace(trim(string_split(name, '.')[i], '"'), '""', '"') ELSE upper(string_split(name, '.')[i]) END);
CREATE MACRO memory.main.get_ddl(wanted_kind, wanted_name) AS (COALESCE((SELECT regexp_replace(o.body, ';\s*$', '') || ';' FROM "_SF".main."_SF_OBJECT" o WHERE upper(wanted_kind) = 'SEMANTIC_VIEW' AND o.kind = 'SEMANTIC VIEW' AND o.name = memory.main._sf_name_part(wanted_name, -1) AND o.sc = COALESCE(memory.main._sf_name_part(wanted_name, -2), CAST(getvariable('sf_schema') AS VARCHAR)) AND o.db = COALESCE(memory.main._sf_name_part(wanted_name, -3), CAST(getvariable('sf_database') AS VARCHAR))), (SELECT CASE WHEN e.kind = 'VIEW' THEN regexp_replace(body, ';\s*$', '') || ';' ELSE 'create or replace TABLE ' || e.tb || ' (' || chr(10) || (SELECT string_agg(chr(9) || col || ' ' || type || CASE WHEN nullable THEN '' ELSE ' NOT NULL' END || CASE WHEN auto THEN ' autoincrement start 1 increment 1 noorder' WHEN def IS NOT NULL THEN ' DEFAULT ' || def ELSE '' END || CASE WHEN f.comment <> '' THEN ' COMMENT ''' || replace(f.comment, '''', '''''') || '''' ELSE '' END, ',' || chr(10) ORDER BY pos) FROM memory.main."_SF_FIELD" f WHERE f.db = e.db AND f.sc = e.sc AND f.tb = e.tb) || chr(10) || ')' || CASE WHEN e.comment <> '' THEN 'COMMENT=''' || replace(e.comment, '''', '''''') || '''' ELSE '' END || ';' END FROM memory.main."_SF_ENTITY" e WHERE e.kind = upper(wanted_kind) AND e.tb = memory.main._sf_name_part(wanted_name, -1) AND e.sc = COALESCE(memory.main._sf_name_part(wanted_name, -2), CAST(getvariable('sf_schema') AS VARCHAR)) AND e.db = COALESCE(memory.main._sf_name_part(wanted_name, -3), CAST(getvariable('sf_database') AS VARCHAR))), error('Object ''' || wanted_name || ''' does not exist or not authorized.')));

-- INFORMATION_SCHEMA; _DB is the database that asks
CREATE VIEW memory.main."_SF_IS_TABLES" AS SELECT db AS "_DB", db AS "TABLE_CATALOG", sc AS "TABLE_SCHEMA", tb AS "TABLE_NAME", owner AS "TABLE_OWNER", CASE kind WHEN 'TABLE' THEN 'BASE TABLE' ELSE kind END AS "TABLE_TYPE", CASE kind WHEN 'TABLE' THEN 'NO' END AS "IS_TRANSIENT", NULL::VARCHAR AS "CLUSTERING_KEY", n AS "ROW_COUNT", n * 64 AS "BYTES", CASE kind WHEN 'TABLE' THEN 1 END AS "RETENTION_TIME", created AS "CREATED", created AS "LAST_ALTERED", created AS "LAST_DDL", 'NO' AS "AUTO_CLUSTERING_ON", NULLIF(comment, '') AS "COMMENT" FROM memory.main."_SF_ENTITY";
CREATE VIEW memory.main."_SF_IS_COLUMNS" AS SELECT db AS "_DB", db AS "TABLE_CATALOG", sc AS "TABLE_SCHEMA", tb AS "TABLE_NAME", col AS "COLUMN_NAME", pos AS "ORDINAL_POSITION", def AS "COLUMN_DEFAULT", CASE WHEN nullable THEN 'YES' ELSE 'NO' END AS "IS_NULLABLE", CASE base WHEN 'VARCHAR' THEN 'TEXT' ELSE base END AS "DATA_TYPE", CASE WHEN base = 'VARCHAR' THEN arg1 END AS "CHARACTER_MAXIMUM_LENGTH", CASE WHEN base = 'VARCHAR' THEN least(arg1 * 4, 16777216) END AS "CHARACTER_OCTET_LENGTH", CASE WHEN base = 'NUMBER' THEN arg1 END AS "NUMERIC_PRECISION", CASE WHEN base = 'NUMBER' THEN 10 END AS "NUMERIC_PRECISION_RADIX", CASE WHEN base = 'NUMBER' THEN arg2 END AS "NUMERIC_SCALE", CASE WHEN base LIKE 'TIME%' THEN arg1 END AS "DATETIME_PRECISION", CASE WHEN auto THEN 'YES' ELSE 'NO' END AS "IS_IDENTITY", NULLIF(comment, '') AS "COMMENT" FROM memory.main."_SF_TYPED";
CREATE VIEW memory.main."_SF_IS_VIEWS" AS SELECT db AS "_DB", db AS "TABLE_CATALOG", sc AS "TABLE_SCHEMA", tb AS "TABLE_NAME", owner AS "TABLE_OWNER", body AS "VIEW_DEFINITION", 'NONE' AS "CHECK_OPTION", 'NO' AS "IS_UPDATABLE", 'NO' AS "INSERTABLE_INTO", 'NO' AS "IS_SECURE", created AS "CREATED", created AS "LAST_ALTERED", NULLIF(comment, '') AS "COMMENT" FROM memory.main."_SF_ENTITY" WHERE kind = 'VIEW';
CREATE VIEW memory.main."_SF_IS_SCHEMATA" AS SELECT db AS "_DB", db AS "CATALOG_NAME", sc AS "SCHEMA_NAME", owner AS "SCHEMA_OWNER", 'NO' AS "IS_TRANSIENT", 'NO' AS "IS_MANAGED_ACCESS", 1 AS "RETENTION_TIME", created AS "CREATED", created AS "LAST_ALTERED", NULLIF(comment, '') AS "COMMENT" FROM memory.main."_SF_SCHEMA";
CREATE VIEW memory.main."_SF_IS_DATABASES" AS SELECT a.db AS "_DB", d.db AS "DATABASE_NAME", d.owner AS "DATABASE_OWNER", 'NO' AS "IS_TRANSIENT", NULLIF(d.comment, '') AS "COMMENT", d.created AS "CREATED", d.created AS "LAST_ALTERED", 1 AS "RETENTION_TIME", CASE d.db WHEN 'SNOWFLAKE_SAMPLE_DATA' THEN 'IMPORTED DATABASE' ELSE 'STANDARD' END AS "TYPE" FROM memory.main."_SF_DB" d, memory.main."_SF_DB" a;
CREATE VIEW memory.main."_SF_IS_FUNCTIONS" AS SELECT db AS "_DB", db AS "FUNCTION_CATALOG", sc AS "FUNCTION_SCHEMA", tb AS "FUNCTION_NAME", 'SQL' AS "FUNCTION_LANGUAGE" FROM memory.main."_SF_FUNCTION";
CREATE VIEW memory.main."_SF_IS_PROCEDURES" AS SELECT db AS "_DB", db AS "PROCEDURE_CATALOG", '' AS "PROCEDURE_SCHEMA", '' AS "PROCEDURE_NAME" FROM memory.main."_SF_DB" WHERE false;
CREATE VIEW memory.main."_SF_IS_SEQUENCES" AS SELECT db AS "_DB", db AS "SEQUENCE_CATALOG", sc AS "SEQUENCE_SCHEMA", tb AS "SEQUENCE_NAME" FROM memory.main."_SF_NAME" WHERE kind = 'SEQUENCE' AND NOT starts_with(tb, '_SF_');
CREATE VIEW memory.main."_SF_IS_STAGES" AS SELECT db AS "_DB", db AS "STAGE_CATALOG", '' AS "STAGE_SCHEMA", '' AS "STAGE_NAME" FROM memory.main."_SF_DB" WHERE false;

-- SHOW and DESCRIBE
CREATE VIEW memory.main."_SF_SHOW_DATABASES" AS SELECT created AS "created_on", db AS "name", 'N' AS "is_default", CASE WHEN db = CAST(getvariable('sf_database') AS VARCHAR) THEN 'Y' ELSE 'N' END AS "is_current", CASE db WHEN 'SNOWFLAKE_SAMPLE_DATA' THEN 'SFSALESSHARED.SFC_SAMPLES.SAMPLE_DATA' ELSE '' END AS "origin", CASE db WHEN 'SNOWFLAKE_SAMPLE_DATA' THEN 'ACCOUNTADMIN' ELSE owner END AS "owner", comment AS "comment", '' AS "options", '1' AS "retention_time", CASE db WHEN 'SNOWFLAKE_SAMPLE_DATA' THEN 'IMPORTED DATABASE' ELSE 'STANDARD' END AS "kind", NULL::VARCHAR AS "budget", 'ROLE' AS "owner_role_type" FROM memory.main."_SF_DB";
CREATE VIEW memory.main."_SF_SHOW_SCHEMAS" AS SELECT created AS "created_on", sc AS "name", 'N' AS "is_default", CASE WHEN db = CAST(getvariable('sf_database') AS VARCHAR) AND sc = CAST(getvariable('sf_schema') AS VARCHAR) THEN 'Y' ELSE 'N' END AS "is_current", db AS "database_name", owner AS "owner", comment AS "comment", '' AS "options", '1' AS "retention_time", 'ROLE' AS "owner_role_type", NULL::VARCHAR AS "budget" FROM memory.main."_SF_SCHEMA";
CREATE VIEW memory.main."_SF_SHOW_TABLES" AS SELECT created AS "created_on", tb AS "name", db AS "database_name", sc AS "schema_name", 'TABLE' AS "kind", comment AS "comment", '' AS "cluster_by", n AS "rows", n * 64 AS "bytes", owner AS "owner", '1' AS "retention_time", 'OFF' AS "automatic_clustering", 'OFF' AS "change_tracking", 'N' AS "is_external", 'N' AS "enable_schema_evolution", 'ROLE' AS "owner_role_type", 'N' AS "is_event", NULL::VARCHAR AS "budget", 'N' AS "is_hybrid", 'N' AS "is_iceberg", 'N' AS "is_dynamic", 'N' AS "is_immutable" FROM memory.main."_SF_ENTITY" WHERE kind = 'TABLE';
CREATE VIEW memory.main."_SF_SHOW_VIEWS" AS SELECT created AS "created_on", tb AS "name", '' AS "reserved", db AS "database_name", sc AS "schema_name", owner AS "owner", comment AS "comment", body AS "text", 'false' AS "is_secure", 'false' AS "is_materialized", 'ROLE' AS "owner_role_type", 'OFF' AS "change_tracking" FROM memory.main."_SF_ENTITY" WHERE kind = 'VIEW';
CREATE VIEW memory.main."_SF_SHOW_OBJECTS" AS SELECT created AS "created_on", tb AS "name", db AS "database_name", sc AS "schema_name", kind AS "kind", comment AS "comment", '' AS "cluster_by", n AS "rows", n * 64 AS "bytes", owner AS "owner", CASE kind WHEN 'TABLE' THEN '1' ELSE '' END AS "retention_time", 'ROLE' AS "owner_role_type", NULL::VARCHAR AS "budget", 'N' AS "is_hybrid", 'N' AS "is_dynamic" FROM memory.main."_SF_ENTITY";
CREATE VIEW memory.main."_SF_SHOW_COLUMNS" AS SELECT tb AS "table_name", sc AS "schema_name", col AS "column_name", CASE base WHEN 'NUMBER' THEN '{"type":"FIXED","precision":' || arg1 || ',"scale":' || arg2 || ',"nullable":' || nullable || '}' WHEN 'VARCHAR' THEN '{"type":"TEXT","length":' || arg1 || ',"byteLength":' || least(arg1 * 4, 16777216) || ',"nullable":' || nullable || ',"fixed":false}' WHEN 'FLOAT' THEN '{"type":"REAL","nullable":' || nullable || '}' ELSE '{"type":"' || base || '",' || CASE WHEN base LIKE 'TIME%' THEN '"precision":0,"scale":9,' ELSE '' END || '"nullable":' || nullable || '}' END AS "data_type", CASE WHEN nullable THEN 'true' ELSE 'NOT_NULL' END AS "null?", COALESCE(def, '') AS "default", 'COLUMN' AS "kind", '' AS "expression", comment AS "comment", db AS "database_name", CASE WHEN auto THEN 'IDENTITY START 1 INCREMENT 1 NOORDER' ELSE '' END AS "autoincrement", NULL::VARCHAR AS "schema_evolution_record" FROM memory.main."_SF_TYPED" ORDER BY db, sc, tb, pos;
CREATE VIEW memory.main."_SF_SHOW_SEQUENCES" AS SELECT o.created AS "created_on", s.sequence_name AS "name", s.schema_name AS "schema_name", s.database_name AS "database_name", s.start_value AS "next_value", s.increment_by AS "interval", COALESCE(o.owner, 'SYSADMIN') AS "owner", COALESCE(o.comment, '') AS "comment", 'ROLE' AS "owner_role_type", 'Y' AS "ordered" FROM duckdb_sequences() s LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = s.database_name AND o.sc = s.schema_name AND o.name = s.sequence_name WHERE NOT starts_with(s.sequence_name, '_SF_');
CREATE VIEW memory.main."_SF_SHOW_WAREHOUSES" AS SELECT name AS "name", 'STARTED' AS "state", 'STANDARD' AS "type", size AS "size", 1 AS "min_cluster_count", 1 AS "max_cluster_count", 1 AS "started_clusters", 0 AS "running", 0 AS "queued", CASE name WHEN 'COMPUTE_WH' THEN 'Y' ELSE 'N' END AS "is_default", CASE WHEN name = CAST(getvariable('sf_warehouse') AS VARCHAR) THEN 'Y' ELSE 'N' END AS "is_current", 600 AS "auto_suspend", 'true' AS "auto_resume", '' AS "available", '' AS "provisioning", '' AS "quiescing", '' AS "other", created AS "created_on", created AS "resumed_on", created AS "updated_on", 'SYSADMIN' AS "owner", '' AS "comment", 'false' AS "enable_query_acceleration", 8 AS "query_acceleration_max_scale_factor", 'null' AS "resource_monitor", 'STANDARD' AS "scaling_policy", 'ROLE' AS "owner_role_type" FROM "_SF".main."_SF_WAREHOUSE";
CREATE VIEW memory.main."_SF_SHOW_ROLES" AS SELECT created AS "created_on", name AS "name", CASE name WHEN 'PUBLIC' THEN 'Y' ELSE 'N' END AS "is_default", CASE WHEN name = CAST(getvariable('sf_role') AS VARCHAR) THEN 'Y' ELSE 'N' END AS "is_current", 'Y' AS "is_inherited", 1 AS "assigned_to_users", 0 AS "granted_to_roles", 0 AS "granted_roles", CASE WHEN name IN ('ACCOUNTADMIN', 'SYSADMIN', 'PUBLIC') THEN '' ELSE 'ACCOUNTADMIN' END AS "owner", '' AS "comment" FROM "_SF".main."_SF_ROLE";
CREATE VIEW memory.main."_SF_SHOW_USERS" AS SELECT CAST(getvariable('sf_user') AS VARCHAR) AS "name", created AS "created_on", CAST(getvariable('sf_user') AS VARCHAR) AS "login_name", CAST(getvariable('sf_user') AS VARCHAR) AS "display_name", '' AS "first_name", '' AS "last_name", '' AS "email", 'false' AS "disabled", '' AS "comment", 'COMPUTE_WH' AS "default_warehouse", '' AS "default_namespace", 'PUBLIC' AS "default_role", 'ACCOUNTADMIN' AS "owner" FROM "_SF".main."_SF_ROLE" WHERE name = 'PUBLIC';
CREATE VIEW memory.main."_SF_SHOW_FUNCTIONS" AS SELECT o.created AS "created_on", n.tb AS "name", n.sc AS "schema_name", 'N' AS "is_builtin", 'N' AS "is_aggregate", 'N' AS "is_ansi", 0 AS "min_num_arguments", 0 AS "max_num_arguments", n.tb || '()' AS "arguments", 'user-defined function' AS "description", n.db AS "catalog_name", 'N' AS "is_table_function", 'N' AS "valid_for_clustering", 'N' AS "is_secure", 'SQL' AS "language", n.db AS "database_name" FROM memory.main."_SF_FUNCTION" n LEFT JOIN "_SF".main."_SF_OBJECT" o ON o.db = n.db AND o.sc = n.sc AND o.name = n.tb;
CREATE VIEW memory.main."_SF_NOTHING" AS SELECT created AS "created_on", '' AS "name", db AS "database_name", '' AS "schema_name", '' AS "owner", '' AS "comment" FROM memory.main."_SF_DB" WHERE false;
CREATE VIEW memory.main."_SF_SHOW_PROCEDURES" AS SELECT "created_on", "name", "schema_name", '' AS "is_builtin", '' AS "is_aggregate", '' AS "is_ansi", 0 AS "min_num_arguments", 0 AS "max_num_arguments", '' AS "arguments", '' AS "description", '' AS "catalog_name", "database_name" FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_STAGES" AS SELECT "created_on", "name", "database_name", "schema_name", '' AS "url", '' AS "has_credentials", '' AS "has_encryption_key", "owner", "comment", '' AS "region", '' AS "type", '' AS "cloud" FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_STREAMS" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_TASKS" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_PIPES" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_FILE_FORMATS" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_MATERIALIZED_VIEWS" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_DYNAMIC_TABLES" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_EXTERNAL_TABLES" AS FROM memory.main."_SF_NOTHING";
CREATE VIEW memory.main."_SF_SHOW_GRANTS" AS SELECT created AS "created_on", 'USAGE' AS "privilege", 'DATABASE' AS "granted_on", db AS "name", 'ROLE' AS "granted_to", r.name AS "grantee_name", 'false' AS "grant_option", 'ACCOUNTADMIN' AS "granted_by" FROM memory.main."_SF_DB", (SELECT name FROM "_SF".main."_SF_ROLE") r;
CREATE VIEW memory.main."_SF_SHOW_PRIMARY_KEYS" AS SELECT NULL::TIMESTAMPTZ AS "created_on", db AS "database_name", sc AS "schema_name", tb AS "table_name", col AS "column_name", row_number() OVER (PARTITION BY db, sc, tb ORDER BY pos) AS "key_sequence", 'SYS_CONSTRAINT_' || tb AS "constraint_name", 'false' AS "rely", '' AS "comment" FROM memory.main."_SF_FIELD" WHERE is_primary;
CREATE VIEW memory.main."_SF_SHOW_UNIQUE_KEYS" AS SELECT NULL::TIMESTAMPTZ AS "created_on", db AS "database_name", sc AS "schema_name", tb AS "table_name", col AS "column_name", 1 AS "key_sequence", 'SYS_CONSTRAINT_' || tb AS "constraint_name", 'false' AS "rely", '' AS "comment" FROM memory.main."_SF_FIELD" WHERE is_unique;
CREATE VIEW memory.main."_SF_SHOW_IMPORTED_KEYS" AS SELECT *, 'fk' AS "fk_name" FROM memory.main."_SF_SHOW_UNIQUE_KEYS" WHERE false;
CREATE VIEW memory.main."_SF_SHOW_PARAMETERS" AS SELECT * FROM (VALUES ('AUTOCOMMIT', 'true', 'true', '', 'The autocommit property determines whether statements are committed at once', 'BOOLEAN'), ('QUERY_TAG', '', '', '', 'String for tagging statements', 'STRING'), ('ROWS_PER_RESULTSET', '0', '0', '', 'Maximum number of rows in a result set', 'NUMBER'), ('STATEMENT_TIMEOUT_IN_SECONDS', '172800', '172800', '', 'Timeout in seconds for statements', 'NUMBER'), ('TIMEZONE', COALESCE(CAST(getvariable('sf_timezone') AS VARCHAR), 'America/Los_Angeles'), 'America/Los_Angeles', '', 'time zone', 'STRING'), ('WEEK_START', '0', '0', '', 'First day of the week', 'NUMBER')) v("key", "value", "default", "level", "description", "type");
CREATE VIEW memory.main."_SF_DESCRIBE" AS SELECT col AS "name", type AS "type", 'COLUMN' AS "kind", CASE WHEN nullable THEN 'Y' ELSE 'N' END AS "null?", CASE WHEN auto THEN 'IDENTITY START 1 INCREMENT 1 NOORDER' ELSE def END AS "default", CASE WHEN is_primary THEN 'Y' ELSE 'N' END AS "primary key", CASE WHEN is_unique THEN 'Y' ELSE 'N' END AS "unique key", NULL::VARCHAR AS "check", NULL::VARCHAR AS "expression", NULLIF(comment, '') AS "comment", NULL::VARCHAR AS "policy name", NULL::VARCHAR AS "privacy domain", pos AS _pos, db AS _db, sc AS _sc, tb AS _tb FROM memory.main."_SF_FIELD";
CREATE VIEW memory.main."_SF_SHOW_SEMANTIC_VIEWS" AS SELECT created AS "created_on", name AS "name", db AS "database_name", sc AS "schema_name", comment AS "comment", owner AS "owner", 'ROLE' AS "owner_role_type", NULL::VARCHAR AS "extension" FROM "_SF".main."_SF_OBJECT" WHERE kind = 'SEMANTIC VIEW';
CREATE VIEW memory.main."_SF_SEMANTIC_PART" AS SELECT db AS "database_name", sc AS "schema_name", view_name AS "semantic_view_name", tbl AS "table_name", name AS "name", data_type AS "data_type", NULLIF(synonyms, '') AS "synonyms", NULLIF(comment, '') AS "comment", kind AS _kind FROM "_SF".main."_SF_SEMANTIC";
CREATE VIEW memory.main."_SF_SHOW_SEMANTIC_DIMENSIONS" AS SELECT * EXCLUDE (_kind) FROM memory.main."_SF_SEMANTIC_PART" WHERE _kind = 'DIMENSION';
CREATE VIEW memory.main."_SF_SHOW_SEMANTIC_METRICS" AS SELECT * EXCLUDE (_kind) FROM memory.main."_SF_SEMANTIC_PART" WHERE _kind = 'METRIC';
CREATE VIEW memory.main."_SF_SHOW_SEMANTIC_FACTS" AS SELECT * EXCLUDE (_kind) FROM memory.main."_SF_SEMANTIC_PART" WHERE _kind = 'FACT';
-- DESCRIBE SEMANTIC VIEW: one row for each property of each part
CREATE VIEW memory.main."_SF_DESCRIBE_SEMANTIC" AS SELECT "object_kind", "object_name", "parent_entity", "property", "property_value", _db, _sc, _tb, _pos FROM (
	SELECT 0 AS p, NULL AS "object_kind", NULL AS "object_name", NULL AS "parent_entity", 'COMMENT' AS "property", comment AS "property_value", db AS _db, sc AS _sc, name AS _tb, -1 AS _pos FROM "_SF".main."_SF_OBJECT" WHERE kind = 'SEMANTIC VIEW' AND comment <> ''
	UNION ALL SELECT p.i, s.kind, s.name, CASE s.kind WHEN 'TABLE' THEN NULL ELSE s.tbl END, p.property, CASE p.property WHEN 'BASE_TABLE_DATABASE_NAME' THEN _sf_name_part(s.expr, -3) WHEN 'BASE_TABLE_SCHEMA_NAME' THEN _sf_name_part(s.expr, -2) WHEN 'BASE_TABLE_NAME' THEN _sf_name_part(s.expr, -1) WHEN 'PRIMARY_KEY' THEN s.keys WHEN 'TABLE' THEN s.tbl WHEN 'REF_TABLE' THEN s.ref_tbl WHEN 'FOREIGN_KEY' THEN s.keys WHEN 'REF_KEY' THEN s.ref_keys WHEN 'EXPRESSION' THEN s.expr WHEN 'DATA_TYPE' THEN s.data_type WHEN 'SYNONYMS' THEN s.synonyms WHEN 'COMMENT' THEN s.comment END, s.db, s.sc, s.view_name, s.pos * 10 + p.i
	FROM "_SF".main."_SF_SEMANTIC" s JOIN (VALUES (1, 'TABLE', 'BASE_TABLE_DATABASE_NAME'), (2, 'TABLE', 'BASE_TABLE_SCHEMA_NAME'), (3, 'TABLE', 'BASE_TABLE_NAME'), (4, 'TABLE', 'PRIMARY_KEY'), (5, 'TABLE', 'SYNONYMS'), (6, 'TABLE', 'COMMENT'), (1, 'RELATIONSHIP', 'TABLE'), (2, 'RELATIONSHIP', 'REF_TABLE'), (3, 'RELATIONSHIP', 'FOREIGN_KEY'), (4, 'RELATIONSHIP', 'REF_KEY'), (1, 'FACT', 'TABLE'), (2, 'FACT', 'EXPRESSION'), (3, 'FACT', 'DATA_TYPE'), (4, 'FACT', 'SYNONYMS'), (5, 'FACT', 'COMMENT'), (1, 'DIMENSION', 'TABLE'), (2, 'DIMENSION', 'EXPRESSION'), (3, 'DIMENSION', 'DATA_TYPE'), (4, 'DIMENSION', 'SYNONYMS'), (5, 'DIMENSION', 'COMMENT'), (1, 'METRIC', 'TABLE'), (2, 'METRIC', 'EXPRESSION'), (3, 'METRIC', 'DATA_TYPE'), (4, 'METRIC', 'SYNONYMS'), (5, 'METRIC', 'COMMENT')) p(i, kind, property) ON p.kind = s.kind) WHERE "property_value" IS NOT NULL AND "property_value" <> '' ORDER BY _pos, p;
