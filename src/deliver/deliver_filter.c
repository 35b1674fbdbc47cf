#include "base/log.h"
#include "deliver/deliver_command.h"
#include "table/table.h"

/* The same class of status, and a text: "2.1.5 ok". */
static bool usable(struct str result, const struct dsn *old, size_t *status)
{
	bool success = result.n > 0 && result.p[0] == '2';

	*status = dsn_status_length(result);
	return *status > 0 && *status < sizeof(old->status) && success == (old->status[0] == '2') &&
	       str_trim(str_from(result, *status)).n > 0;
}

static const struct dsn *replaced(struct pool *pool, const struct dsn *old, struct str result, size_t n)
{
	struct dsn *dsn = dsn_copy(pool, old);
	struct str text = str_trim(str_from(result, n));

	memcpy(dsn->status, result.p, n);
	dsn->status[n] = '\0';
	dsn->reason = pool_strndup(pool, text.p, text.n);
	if (dsn->status[0] != '2')
		dsn->action = dsn->status[0] == '4' ? DSN_DELAYED : DSN_FAILED;
	return dsn;
}

const struct dsn *deliver_filter_status(
	struct maps *filter, const char *parameter, struct pool *pool, const struct dsn *dsn)
{
	const char *question = pool_printf(pool, "%s %s", dsn->status, dsn->reason);
	struct buf value = BUF(TABLE_VALUE_MAX);
	const struct dsn *result = dsn;
	struct err err = {""};
	enum table_status status;
	size_t n;

	if (!filter || maps_empty(filter))
		return dsn;
	status = maps_lookup(filter, str_c(question), &value, &err);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		log_warning("%s: lookup of \"%s\": %s", parameter, question, err.text);
	else if (status == TABLE_FOUND && usable(buf_slice(&value), dsn, &n))
		result = replaced(pool, dsn, buf_slice(&value), n);
	else if (status == TABLE_FOUND)
		log_warning("%s: bad result \"%s\" for \"%s\"", parameter, buf_cstr(&value), question);
	buf_free(&value);
	return result;
}
