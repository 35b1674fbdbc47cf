/* The MIME structure of a message, followed line by line. */
#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(struct mime *m, struct str line)
{
	enum mime_encoding declared;

	if (mime_section(m) == MIME_BODY) {
		mime_boundary(m, line);
	} else if (line.n && str_find(line, ':') > 0) {
		mime_header(m, line);
	} else {
		mime_end_header(m, line.n == 0, &declared);
		mime_encoding_name(declared);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime *m = mime_new(&(struct mime_options){3, 20});
	struct str rest = {(const char *)data, size};

	while (rest.n) {
		ptrdiff_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_first(rest, (size_t)end);

		one_line(m, line);
		rest = str_from(rest, line.n + 1);
	}
	mime_free(&m);
	return 0;
}
