#include "base/base64.h"
#include "base/mem.h"
#include "base/sys.h"
#include "table/table_type.h"

#define FILE_NAMES " ,\t\r\n"

static bool add_content(struct str name, struct buf *value, struct err *err)
{
	struct buf content = BUF(TABLE_VALUE_MAX);
	char *path = x_strndup(name.p, name.n);
	bool ok = sys_read_file(path, &content, err);

	if (ok)
		buf_str(value, buf_slice(&content));
	x_free(&path);
	buf_free(&content);
	return ok;
}

bool source_files(struct str names, struct buf *value, struct err *err)
{
	struct str rest = names, name;
	size_t count = 0;

	while (str_word(&rest, FILE_NAMES, &name)) {
		if (count++)
			buf_putc(value, '\n');
		if (!add_content(name, value, err))
			return false;
	}
	return count > 0 || err_set(err, "empty pathname list: >>" STR_FMT "<<'", STR_ARG(names));
}

bool table_value(const struct table *t, struct str text, struct buf *value, struct err *err)
{
	if (t->flags & TABLE_FILES) {
		if (!source_files(text, value, err))
			return false;
	} else {
		buf_str(value, text);
	}
	return !value->over || err_set(err, "the value is too long");
}

bool table_stored_value(const struct table *t, struct str text, struct buf *value, struct err *err)
{
	if (t->flags & TABLE_FILES)
		return base64_decode(text, value) || err_set(err, "the value is not base64");
	buf_str(value, text);
	return true;
}
