#include "deliver/deliver_command.h"

/* sysexits.h */
static const struct {
	int code;
	enum dsn_action action;
	const char *status, *text;
} meanings[] = {
	{64, DSN_FAILED, "5.3.0", "command line usage error"},
	{65, DSN_FAILED, "5.6.0", "data format error"},
	{66, DSN_FAILED, "5.3.0", "cannot open input"},
	{67, DSN_FAILED, "5.1.1", "user unknown"},
	{68, DSN_FAILED, "5.1.2", "host name unknown"},
	{69, DSN_FAILED, "5.3.0", "service unavailable"},
	{70, DSN_FAILED, "5.3.0", "internal software error"},
	{71, DSN_DELAYED, "4.3.0", "system resource problem"},
	{72, DSN_FAILED, "5.3.0", "critical OS file missing"},
	{73, DSN_FAILED, "5.2.0", "can't create user output file"},
	{74, DSN_FAILED, "5.3.0", "input/output error"},
	{75, DSN_DELAYED, "4.3.0", "temporary failure"},
	{76, DSN_FAILED, "5.5.0", "remote error in protocol"},
	{77, DSN_FAILED, "5.7.0", "permission denied"},
	{78, DSN_FAILED, "5.3.5", "local configuration error"},
};

const char *deliver_command_output(struct pool *pool, const struct buf *output)
{
	char *text = pool_strndup(pool, output->len ? output->data : "", output->len);

	for (size_t i = 0; i < output->len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\t' || c == '\r')
			text[i] = ' ';
		else if (c < ' ' || c >= 0x7f)
			text[i] = '_';
	}
	return text;
}

/* "4.x.x" or "5.x.x" at the start of the output says it better than the exit status. */
static const struct dsn *own_status(struct pool *pool, const char *output)
{
	size_t n = dsn_status_length(str_c(output));
	enum dsn_action action = output[0] == '4' ? DSN_DELAYED : DSN_FAILED;
	const char *text = str_trim(str_from(str_c(output), n)).p;
	struct dsn *dsn;

	if (n == 0 || n >= sizeof(dsn->status) || output[0] == '2')
		return NULL;
	dsn = dsn_make(pool, action, action == DSN_DELAYED ? "4.0.0" : "5.0.0", "%s", text);
	memcpy(dsn->status, output, n);
	dsn->status[n] = '\0';
	return dsn;
}

static const struct dsn *with_output(
	struct pool *pool, enum dsn_action action, const char *status, const char *text, const char *output)
{
	if (output[0] == '\0')
		return dsn_make(pool, action, status, "%s", text);
	return dsn_make(pool, action, status, "%s. Command output: %s", text, output);
}

static const struct dsn *exited(
	struct pool *pool, const struct deliver_command_result *r, const char *name, const char *output)
{
	const struct dsn *own = own_status(pool, output);

	if (own)
		return own;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code == r->code)
			return with_output(
				pool, meanings[i].action, meanings[i].status, meanings[i].text, output);
	}
	return with_output(pool, DSN_FAILED, "5.3.0",
		pool_printf(pool, "Command died with status %d: \"%s\"", r->code, name), output);
}

const struct dsn *deliver_command_status(
	struct pool *pool, const struct deliver_command_result *result, const char *name, const char *success)
{
	const char *output = deliver_command_output(pool, &result->output), *text;

	switch (result->end) {
	case COMMAND_EXITED:
		if (result->code == 0)
			return dsn_make(pool, DSN_DELIVERED, "2.0.0", "%s", success);
		return exited(pool, result, name, output);
	case COMMAND_KILLED:
		text = pool_printf(pool, "Command died with signal %d: \"%s\"", result->code, name);
		return with_output(pool, DSN_DELAYED, "4.3.0", text, output);
	case COMMAND_TIMEOUT:
		text = pool_printf(pool, "Command time limit exceeded: \"%s\"", name);
		return with_output(pool, DSN_DELAYED, "4.3.0", text, output);
	case COMMAND_READ_FAILED:
		return dsn_make(pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", result->err.text);
	case COMMAND_NOT_STARTED:
		break;
	}
	return with_output(pool, DSN_DELAYED, "4.3.0", "temporary failure", output);
}
