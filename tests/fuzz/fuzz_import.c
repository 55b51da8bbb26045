/* A configuration of the official server: what is imported is YAML of ours, with the statements and toolsets it names.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/conf_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf out = buf_with_ceiling((size_t)4 << 20);
	struct conf_faults faults, again;
	const struct conf *conf;

	if (conf_import_bytes((struct slice){(const char *)data, n}, &out, &faults)) {
		if (!strstr(buf_text(&out), "    statements: [") || faults.n)
			abort();
		conf = conf_load_bytes(buf_slice(&out), &again);
		for (size_t i = 0; i < again.n; i++) /* what it is made of may be wrong; what it is may not */
			if (!*again.v[i].key)
				abort();
		if (conf)
			conf_free(conf);
		conf_faults_free(&again);
	} else if (out.n || !faults.n) {
		abort();
	}
	conf_faults_free(&faults);
	buf_free(&out);
	return 0;
}
