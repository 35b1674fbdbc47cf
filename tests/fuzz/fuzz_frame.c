/* Frames between processes: the connection's other end may send anything. */
#include "ipc/delivery.h"
#include "ipc/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(uint16_t type, struct cursor fields, struct pool *pool)
{
	struct delivery_request request;
	struct delivery_result result;
	struct agent_hello hello;
	struct queue_request question;
	struct queue_listed listed;

	delivery_request_decode(fields, pool, &request);
	delivery_result_decode(fields, pool, &result);
	agent_hello_decode(fields, &hello);
	queue_request_decode(type, fields, pool, &question);
	queue_listed_decode(fields, pool, &listed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct cursor fields;
	uint16_t type;
	size_t used;

	while (frame_parse(in, &type, &fields, &used) == 1) {
		struct pool *pool = pool_new(1024);

		decode(type, fields, pool);
		pool_free(&pool);
		in = str_from(in, used);
	}
	return 0;
}
