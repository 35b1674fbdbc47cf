/* The connections of database tables: kept, lost, hosts that fail, many threads; over a driver made here. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "base/mem.h"
#include "table/database_pool.h"

enum { HOSTS = 3 };

/* The servers: host "0", "1", "2". */
struct servers {
	atomic_bool down[HOSTS];	   /* no connection to be had */
	atomic_int generation[HOSTS];	   /* connections of an older one are lost */
	atomic_int connects, open, widest; /* connections made; that exist; at most */
};

struct link {
	struct servers *servers;
	int host, generation;
	atomic_int users;
};

static void *link_connect(void *state, const char *host, struct err *err)
{
	struct servers *s = state;
	struct link *l = x_alloc(sizeof(*l));
	int open = atomic_fetch_add(&s->open, 1) + 1, widest = atomic_load(&s->widest);

	while (open > widest && !atomic_compare_exchange_weak(&s->widest, &widest, open))
		continue;
	*l = (struct link){.servers = s, .host = *host - '0'};
	atomic_fetch_add(&s->connects, 1);
	if (!atomic_load(&s->down[l->host])) {
		l->generation = atomic_load(&s->generation[l->host]);
		return l;
	}
	err_set(err, "host %s is down", host);
	atomic_fetch_sub(&s->open, 1);
	x_free(&l);
	return NULL;
}

static void link_disconnect(void *connection)
{
	struct link *l = connection;

	atomic_fetch_sub(&l->servers->open, 1);
	x_free(&l);
}

static enum database_status link_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct link *l = connection;
	char text[2] = {(char)('0' + l->host), '\0'};
	enum database_status status = DATABASE_DONE;

	assert_int_equal(atomic_fetch_add(&l->users, 1), 0);
	answer->value(answer, str_c(text));
	if (atomic_load(&l->servers->down[l->host]) ||
		atomic_load(&l->servers->generation[l->host]) != l->generation) {
		err_set(err, "connection lost");
		status = DATABASE_LOST;
	} else if (str_is(key, "bad")) {
		err_set(err, "bad question");
		status = DATABASE_FAILED;
	}
	atomic_fetch_sub(&l->users, 1);
	return status;
}

static const struct database_driver in_order = {.version = DATABASE_VERSION,
	.hosts_in_order = true,
	.connect = link_connect,
	.disconnect = link_disconnect,
	.ask = link_ask};
static const struct database_driver at_random = {
	.version = DATABASE_VERSION, .connect = link_connect, .disconnect = link_disconnect, .ask = link_ask};

struct taken {
	struct database_answer answer;
	char host;
	int values;
};

static bool take(struct database_answer *answer, struct str value)
{
	struct taken *t = (struct taken *)answer;

	t->host = value.p[0];
	t->values++;
	return true;
}

static void begin(struct database_answer *answer)
{
	((struct taken *)answer)->values = 0;
}

static enum database_status ask(struct database_pool *pool, const char *key, char *host, struct err *err)
{
	struct taken t = {.answer = {take}};
	enum database_status status = database_pool_ask(pool, str_c(key), &t.answer, begin, err);

	if (status == DATABASE_DONE)
		assert_int_equal(t.values, 1);
	*host = t.host;
	return status;
}

static void asked(struct database_pool *pool, char wanted)
{
	struct err err = {""};
	char host;

	assert_int_equal(ask(pool, "key", &host, &err), DATABASE_DONE);
	assert_int_equal(host, wanted);
}

static void test_kept(void **state)
{
	struct servers s = {.connects = 0};
	struct database_pool *pool = database_pool_open(&in_order, &s, "0");
	struct err err;
	char host;

	asked(pool, '0');
	asked(pool, '0');
	assert_int_equal(ask(pool, "bad", &host, &err), DATABASE_FAILED);
	assert_string_equal(err.text, "bad question");
	asked(pool, '0');
	assert_int_equal(s.connects, 1);
	s.generation[0]++;
	asked(pool, '0');
	assert_int_equal(s.connects, 2);
	database_pool_close(&pool);
	assert_int_equal(s.open, 0);
}

static void test_only_host(void **state)
{
	struct servers s = {.connects = 0};
	struct database_pool *pool = database_pool_open(&at_random, &s, "0");
	struct err err;
	char host;

	s.down[0] = true;
	assert_int_equal(ask(pool, "key", &host, &err), DATABASE_LOST);
	assert_string_equal(err.text, "host 0 is down");
	s.down[0] = false;
	asked(pool, '0');
	database_pool_close(&pool);
}

static void test_failing_hosts(void **state)
{
	struct servers s = {.connects = 0};
	struct database_pool *pool = database_pool_open(&in_order, &s, "0, 1 2");
	struct err err;
	char host;

	asked(pool, '0');
	s.down[0] = true;
	asked(pool, '1');
	s.generation[1]++;
	s.down[0] = false;
	asked(pool, '1'); /* 0 has failed lately */
	s.down[0] = s.down[1] = s.down[2] = true;
	assert_int_equal(ask(pool, "key", &host, &err), DATABASE_LOST);
	s.connects = 0;
	s.down[1] = false;
	for (int i = 0; i < HOSTS && ask(pool, "key", &host, &err) != DATABASE_DONE; i++)
		continue;
	assert_int_equal(host, '1');
	assert_true(s.connects <= HOSTS); /* one failing host for each question */
	database_pool_close(&pool);
	assert_int_equal(s.open, 0);
}

static void test_hosts_at_random(void **state)
{
	struct servers s = {.connects = 0};
	int hits[HOSTS] = {0};

	for (int i = 0; i < 200; i++) {
		struct database_pool *pool = database_pool_open(&at_random, &s, "0 1 2");
		struct err err;
		char host;

		assert_int_equal(ask(pool, "key", &host, &err), DATABASE_DONE);
		hits[host - '0']++;
		database_pool_close(&pool);
	}
	for (int i = 0; i < HOSTS; i++)
		assert_true(hits[i] > 20);
}

static void test_intervals(void **state)
{
	struct servers s = {.connects = 0};
	struct database_pool *pool = database_pool_open(&in_order, &s, "0 1");
	struct database_pool *other = database_pool_open(&in_order, &s, "2");

	database_pool_set_intervals(pool, 0, 0);
	asked(pool, '0');
	asked(other, '2');
	assert_int_equal(s.open, 2);
	database_pool_close_idle();
	assert_int_equal(s.open, 1);
	s.down[0] = true;
	asked(pool, '1');
	s.down[0] = false;
	s.generation[1]++;
	asked(pool, '0'); /* has failed, but may be asked again at once */
	database_pool_close(&pool);
	database_pool_close(&other);
	assert_int_equal(s.open, 0);
}

static void *ask_often(void *arg)
{
	struct err err;
	char host;

	for (int i = 0; i < 300; i++)
		ask(arg, i % 7 ? "key" : "bad", &host, &err);
	return NULL;
}

static void test_threads(void **state)
{
	struct servers s = {.connects = 0};
	struct database_pool *pool = database_pool_open(&at_random, &s, "0 1 2");
	pthread_t threads[2 * POOL_CONNECTIONS];

	for (size_t i = 0; i < sizeof(threads) / sizeof(*threads); i++)
		pthread_create(&threads[i], NULL, ask_often, pool);
	for (int i = 0; i < 200; i++) {
		s.generation[i % HOSTS]++;
		s.down[i % HOSTS] = i % 2;
	}
	for (size_t i = 0; i < sizeof(threads) / sizeof(*threads); i++)
		pthread_join(threads[i], NULL);
	database_pool_close(&pool);
	assert_int_equal(s.open, 0);
	assert_true(s.widest <= 2 * POOL_CONNECTIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_only_host),
		cmocka_unit_test(test_failing_hosts),
		cmocka_unit_test(test_hosts_at_random),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
