/* master.cf: whatever it says, reading ends with services or an error. */
#include "config/master_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config cfg = {.compatibility_level = "3.6"};
	struct err err;
	struct master_cf *m =
		master_cf_parse(&cfg, (struct str){(const char *)data, size}, "/cf/master.cf", &err);

	if (m)
		master_cf_find(m, "smtp", SERVICE_INET);
	master_cf_free(&m);
	return 0;
}
