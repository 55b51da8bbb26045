/* Any bytes as TOML: a tree or a fault, never both, never neither. */
#include "../../src/core/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct conf_faults faults = {0};
	struct loading l = {.faults = &faults, .scratch = arena_new(CONF_ARENA_BYTES), .sealed = true};
	struct node *root = toml_parse(&l, (struct slice){(const char *)data, n}, "fuzz");
	if ((root != NULL) != (faults.n == 0))
		abort();
	arena_free(l.scratch);
	conf_faults_free(&faults);
	return 0;
}
