#include "sasl/sasl_login.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <sasl/saslutil.h>

#include "base/mem.h"
#include "base/sys.h"

#define MESSAGE_MAX 12288 /* bytes of a challenge or response in base64, RFC 4954 section 4 */

struct sasl_login {
	sasl_conn_t *conn;
	char *user;
	sasl_secret_t *secret;
	sasl_callback_t callbacks[4];
};

static const struct {
	const char *name;
	unsigned flag;
} options[] = {
	{"noplaintext", SASL_SEC_NOPLAINTEXT},
	{"noactive", SASL_SEC_NOACTIVE},
	{"nodictionary", SASL_SEC_NODICTIONARY},
	{"noanonymous", SASL_SEC_NOANONYMOUS},
	{"forward_secrecy", SASL_SEC_FORWARD_SECRECY},
	{"mutual_auth", SASL_SEC_MUTUAL_AUTH},
};

/* ---- the library's locks */

static void *lock_new(void)
{
	pthread_mutex_t *lock = x_alloc(sizeof(*lock));

	pthread_mutex_init(lock, NULL);
	return lock;
}

static int lock_take(void *lock)
{
	return pthread_mutex_lock(lock) == 0 ? SASL_OK : SASL_FAIL;
}

static int lock_give(void *lock)
{
	return pthread_mutex_unlock(lock) == 0 ? SASL_OK : SASL_FAIL;
}

static void lock_free(void *lock)
{
	pthread_mutex_destroy(lock);
	x_free(&lock);
}

/* What the library would log goes nowhere: results come back as values. */
static int quiet(void *context, int level, const char *message)
{
	return SASL_OK;
}

typedef int (*generic_callback)(void);

bool sasl_login_open(struct err *err)
{
	static const sasl_callback_t callbacks[] = {
		{SASL_CB_LOG, (generic_callback)(void *)quiet, NULL}, {SASL_CB_LIST_END, NULL, NULL}};
	int status;

	sasl_set_mutex(lock_new, lock_take, lock_give, lock_free);
	status = sasl_client_init(callbacks);
	return status == SASL_OK ||
	       err_set(err, "cannot start the SASL library: %s", sasl_errstring(status, NULL, NULL));
}

/* ---- one exchange */

static int give_user(void *context, int id, const char **result, unsigned *len)
{
	const struct sasl_login *c = context;

	*result = id == SASL_CB_USER ? "" : c->user;
	if (len)
		*len = (unsigned)strlen(*result);
	return SASL_OK;
}

static int give_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
	const struct sasl_login *c = context;

	*secret = c->secret;
	return SASL_OK;
}

static bool set_security(struct sasl_login *c, const char *list, struct err *err)
{
	sasl_security_properties_t properties = {.maxbufsize = 0};
	struct str rest = str_c(list), word;

	while (str_word(&rest, " \t\r\n,", &word)) {
		size_t i = 0, n = sizeof(options) / sizeof(options[0]);

		while (i < n && !str_case_is(word, options[i].name))
			i++;
		if (i == n)
			return err_set(err, "unknown SASL security option: " STR_FMT, STR_ARG(word));
		properties.security_flags |= options[i].flag;
	}
	return sasl_setprop(c->conn, SASL_SEC_PROPS, &properties) == SASL_OK ||
	       err_set(err, "%s", sasl_errdetail(c->conn));
}

struct sasl_login *sasl_login_new(const struct sasl_credentials *login, struct err *err)
{
	struct sasl_login *c = x_alloc(sizeof(*c));
	size_t n = strlen(login->password);
	int status;

	c->user = x_strdup(login->user);
	c->secret = x_alloc(sizeof(*c->secret) + n + 1);
	c->secret->len = n;
	memcpy(c->secret->data, login->password, n);
	c->callbacks[0] = (sasl_callback_t){SASL_CB_USER, (generic_callback)(void *)give_user, c};
	c->callbacks[1] = (sasl_callback_t){SASL_CB_AUTHNAME, (generic_callback)(void *)give_user, c};
	c->callbacks[2] = (sasl_callback_t){SASL_CB_PASS, (generic_callback)(void *)give_secret, c};
	c->callbacks[3] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
	status = sasl_client_new(login->service, login->host, NULL, NULL, c->callbacks, 0, &c->conn);
	if (status != SASL_OK)
		err_set(err, "SASL: %s", sasl_errstring(status, NULL, NULL));
	else if (set_security(c, login->security_options, err))
		return c;
	sasl_login_free(&c);
	return NULL;
}

void sasl_login_free(struct sasl_login **c)
{
	if (!*c)
		return;
	if ((*c)->conn)
		sasl_dispose(&(*c)->conn);
	sys_wipe((*c)->secret->data, (*c)->secret->len);
	x_free(&(*c)->secret);
	x_free(&(*c)->user);
	x_free(c);
}

static bool encode(const char *data, unsigned n, struct buf *out, struct err *err)
{
	char *room = buf_reserve(out, (size_t)n * 4 / 3 + 8);
	unsigned used = 0;

	if (!room || n > MESSAGE_MAX || sasl_encode64(data, n, room, n * 4 / 3 + 8, &used) != SASL_OK)
		return err_set(err, "SASL: response is too long");
	buf_added(out, used);
	return true;
}

bool sasl_login_begin(struct sasl_login *c, const char *offered, const char **mechanism, struct buf *response,
	bool *has_initial, struct err *err)
{
	const char *data = NULL;
	unsigned n = 0;
	int status = sasl_client_start(c->conn, offered, NULL, &data, &n, mechanism);

	if (status != SASL_OK && status != SASL_CONTINUE)
		return err_set(err, "%s",
			status == SASL_NOMECH ? "no mechanism available"
					      : sasl_errstring(status, NULL, NULL));
	*has_initial = data;
	return !data || encode(data, n, response, err);
}

bool sasl_login_answer(struct sasl_login *c, struct str challenge, struct buf *response, struct err *err)
{
	char plain[MESSAGE_MAX];
	const char *data = NULL;
	unsigned size = 0, n = 0;
	int status;

	if (challenge.n > MESSAGE_MAX || (challenge.n > 0 && sasl_decode64(challenge.p, (unsigned)challenge.n,
								     plain, sizeof(plain), &size) != SASL_OK))
		return err_set(err, "malformed SASL challenge");
	status = sasl_client_step(c->conn, plain, size, NULL, &data, &n);
	if (status != SASL_OK && status != SASL_CONTINUE)
		return err_set(err, "%s", sasl_errstring(status, NULL, NULL));
	return encode(data ? data : "", data ? n : 0, response, err);
}
