#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int freed;

static void count_free(void *value)
{
	freed++;
}

static struct str key_of(int i, char text[16])
{
	snprintf(text, 16, "key%d", i);
	return str_c(text);
}

static void test_put_get_delete(void **state)
{
	struct hash *h = hash_new(count_free);
	char text[16];
	int values[1000];

	freed = 0;
	assert_null(hash_get(h, STR("a")));
	assert_false(hash_delete(h, STR("a")));
	for (int i = 0; i < 1000; i++)
		assert_null(hash_put(h, key_of(i, text), &values[i]));
	assert_int_equal(hash_count(h), 1000);
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(hash_get(h, key_of(i, text)), &values[i]);
	assert_ptr_equal(hash_put(h, STR("key5"), &values[6]), &values[5]);
	assert_int_equal(freed, 0);
	assert_true(hash_delete(h, STR("key5")));
	assert_true(hash_delete(h, STR("key6")));
	assert_false(hash_delete(h, STR("key6")));
	assert_int_equal(freed, 2);
	assert_int_equal(hash_count(h), 998);
	hash_free(&h);
	assert_int_equal(freed, 1000);
	assert_null(h);
	hash_free(&h);
}

static void test_keys_are_bytes(void **state)
{
	struct hash *h = hash_new(NULL);
	int a, b, c;

	hash_put(h, STR("x\0y"), &a);
	hash_put(h, STR("x\0z"), &b);
	hash_put(h, (struct str){NULL, 0}, &c);
	assert_ptr_equal(hash_get(h, STR("x\0y")), &a);
	assert_ptr_equal(hash_get(h, STR("x\0z")), &b);
	assert_ptr_equal(hash_get(h, STR("")), &c);
	assert_null(hash_get(h, STR("x")));
	hash_free(&h);
}

static void test_walk_in_insertion_order(void **state)
{
	struct hash *h = hash_new(NULL);
	char text[16];
	struct str key;
	void *value;
	size_t pos = 0;
	int values[100], expected = 0;

	for (int i = 0; i < 100; i++)
		hash_put(h, key_of(i, text), &values[i]);
	while (hash_next(h, &pos, &key, &value)) {
		assert_ptr_equal(value, &values[expected]);
		expected++;
		assert_true(hash_delete(h, key_of(expected - 1, text)));
	}
	assert_int_equal(expected, 100);
	assert_int_equal(hash_count(h), 0);
	hash_free(&h);
}

/* Steady put and delete must neither grow for ever nor lose entries. */
static void test_churn(void **state)
{
	struct hash *h = hash_new(NULL);
	char text[16];
	int value;

	for (int i = 0; i < 100000; i++) {
		hash_put(h, key_of(i, text), &value);
		if (i >= 10)
			assert_true(hash_delete(h, key_of(i - 10, text)));
	}
	assert_int_equal(hash_count(h), 10);
	for (int i = 99990; i < 100000; i++)
		assert_non_null(hash_get(h, key_of(i, text)));
	hash_free(&h);
}

static void test_hash_bytes(void **state)
{
	assert_true(hash_bytes("a", 1) == hash_bytes("a", 1));
	assert_true(hash_bytes("a", 1) != hash_bytes("b", 1));
	assert_true(hash_bytes("12345678", 8) != hash_bytes("123456789", 9));
	assert_true(hash_bytes("", 0) == hash_bytes(NULL, 0));
}

#define ENTRIES 2000

static void check_heap(const struct heap *h)
{
	for (size_t i = 0; i < h->count; i++) {
		assert_int_equal(h->slots[i]->place, i + 1);
		assert_true(i == 0 || h->slots[(i - 1) / 2]->key <= h->slots[i]->key);
	}
}

static void test_heap(void **state)
{
	struct heap h = {0};
	struct heap_entry *e = x_alloc(ENTRIES * sizeof(*e)), *first;
	uint32_t random = 12345;
	int64_t last = INT64_MIN;
	size_t count = 0;

	assert_null(heap_first(&h));
	for (int round = 0; round < 20000; round++) {
		struct heap_entry *one = &e[(random >> 8) % ENTRIES];

		random = random * 1103515245 + 12345;
		if (random & 0x40000000)
			heap_remove(&h, one);
		else
			heap_set(&h, one, (int64_t)(random % 1000) - 500);
		if (round % 500 == 0)
			check_heap(&h);
	}
	check_heap(&h);
	count = h.count;
	assert_true(count > 0);
	while ((first = heap_first(&h)) != NULL) {
		assert_true(first->key >= last);
		last = first->key;
		heap_remove(&h, first);
		assert_int_equal(first->place, 0);
		count--;
	}
	assert_int_equal(count, 0);
	heap_free(&h);
	x_free(&e);
}

struct node {
	int number;
	struct list link;
};

static void test_list(void **state)
{
	struct list head;
	struct node nodes[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
	int sum = 0;

	list_init(&head);
	assert_null(list_shift(&head));
	list_append(&head, &nodes[1].link);
	list_append(&head, &nodes[2].link);
	list_prepend(&head, &nodes[0].link);
	list_append(&head, &nodes[3].link);
	list_each(l, &head)
	{
		sum = sum * 10 + container_of(l, struct node, link)->number;
		if (l == &nodes[1].link)
			list_remove(l);
	}
	assert_int_equal(sum, 123);
	list_remove(&nodes[1].link);
	assert_ptr_equal(list_shift(&head), &nodes[0].link);
	assert_ptr_equal(list_shift(&head), &nodes[2].link);
	assert_ptr_equal(list_shift(&head), &nodes[3].link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_delete),
		cmocka_unit_test(test_keys_are_bytes),
		cmocka_unit_test(test_walk_in_insertion_order),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_hash_bytes),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
