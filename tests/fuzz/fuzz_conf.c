/* Any bytes as a configuration: a snapshot or faults; what a snapshot writes is written. */
#include "../../src/core/conf_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct conf_faults faults;
	struct buf text = buf_with_ceiling((size_t)16 << 20);
	const struct conf *conf = conf_load_bytes((struct slice){(const char *)data, n}, &faults);
	if ((conf != NULL) != (faults.n == 0))
		abort();
	if (conf)
		conf_write(&text, conf);
	conf_faults_write(&text, &faults);
	buf_free(&text);
	conf_faults_free(&faults);
	conf_free(conf);
	return 0;
}
