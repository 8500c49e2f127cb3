/* Many connections at once on which both peers do anything at any time: what arrives is what was
 * sent, in order, and nothing is left over. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proxy/testbed.h"

enum { PAIRS = 40, STEPS = 40000, PIECE = 256 * 1024 };

/* One end and the two streams that it sees. */
struct party {
	int fd;
	struct stream out, in; /* in.end: what the other one will have sent */
};

struct couple {
	struct party client, server;
	bool rude; /* somebody has reset or closed: bytes may be missing now */
};

static struct couple pairs[PAIRS];
static unsigned char piece[PIECE];
static uint32_t state_of_chance;

static uint32_t chance(uint32_t n)
{
	state_of_chance ^= state_of_chance << 13;
	state_of_chance ^= state_of_chance >> 17;
	state_of_chance ^= state_of_chance << 5;
	return state_of_chance % n;
}

static void begin(struct testbed *tb, struct couple *p)
{
	uint64_t up = chance(3) ? chance(5000) + 1 : chance(3000000) + 1;
	uint64_t down = chance(3) ? chance(5000) + 1 : chance(3000000) + 1;
	struct peers both = testbed_peers(tb);
	struct stream a = {.end = up, .seed = chance(1000)},
		      b = {.end = down, .seed = chance(1000)};
	*p = (struct couple){.client = {both.client, a, b}, .server = {both.server, b, a}};
}

static void leave(struct couple *p, struct party *who)
{
	if (chance(2))
		reset(who->fd);
	else
		(void)close(who->fd);
	who->fd = -1;
	p->rude = true;
}

/* An end without all the bytes is a failure only where nobody was rude. */
static bool receive(const struct couple *p, struct party *who, size_t len)
{
	if (p->rude) {
		struct stream s = who->in;
		ssize_t n = recv(who->fd, piece, 1, MSG_DONTWAIT | MSG_PEEK);
		if (n <= 0 || s.at >= s.end)
			return false;
	}
	return stream_receive(&who->in, who->fd, piece, len);
}

static void act(struct couple *p, struct party *who)
{
	static const size_t sizes[] = {1, 7, 1000, 65536, PIECE};
	size_t len = sizes[chance(N_ELEMS(sizes))];
	if (who->fd < 0)
		return;
	if (chance(2))
		(void)stream_send(&who->out, who->fd, piece, len);
	else
		(void)receive(p, who, len);
	if (chance(400) == 0)
		leave(p, who);
}

static bool finished(const struct party *who)
{
	return who->fd < 0 || (who->in.at == who->in.end && who->out.at == who->out.end);
}

/* The polite ones come to their end; the rude ones are simply closed. */
static void finish(struct couple *p)
{
	uint64_t until = clock_ns() + 20 * NS_PER_S;
	while (!p->rude && !(finished(&p->client) && finished(&p->server))) {
		struct party *both[] = {&p->client, &p->server};
		bool moved = false;
		for (size_t i = 0; i < N_ELEMS(both); i++) {
			moved = stream_send(&both[i]->out, both[i]->fd, piece, PIECE) || moved;
			moved = stream_receive(&both[i]->in, both[i]->fd, piece, PIECE) || moved;
		}
		if (!moved)
			(void)poll(NULL, 0, 1); /* the worker's turn */
		assert_true(clock_ns() < until);
	}
	struct peers both = {p->client.fd, p->server.fd};
	peers_close(&both);
}

static void storm(struct testbed *tb, uint32_t seed)
{
	state_of_chance = seed;
	for (size_t i = 0; i < PAIRS; i++)
		begin(tb, &pairs[i]);
	for (unsigned step = 0; step < STEPS; step++) {
		struct couple *p = &pairs[chance(PAIRS)];
		act(p, chance(2) ? &p->client : &p->server);
		if (p->client.fd < 0 && p->server.fd < 0)
			begin(tb, p);
	}
	for (size_t i = 0; i < PAIRS; i++)
		finish(&pairs[i]);
	testbed_wait_conns(tb, 0);
}

static void storm_of_relays(void **state)
{
	(void)state;
	struct testbed tb;
	testbed_start(&tb, &(struct testbed_setup){.workers = 2});
	for (uint32_t seed = 1; seed <= 3; seed++)
		storm(&tb, seed);
	testbed_stop(&tb);
}

static void storm_of_races(void **state)
{
	(void)state;
	struct testbed tb;
	testbed_start(&tb, &(struct testbed_setup){.workers = 2, .detect = true});
	for (uint32_t seed = 11; seed <= 13; seed++)
		storm(&tb, seed);
	testbed_stop(&tb);
}

static void storm_through_mesh_tls(void **state)
{
	(void)state;
	struct testbed tb;
	testbed_start(&tb, &(struct testbed_setup){.workers = 2, .mesh_tls = true});
	for (uint32_t seed = 21; seed <= 23; seed++)
		storm(&tb, seed);
	testbed_stop(&tb);
}

static void storm_of_races_through_mesh_tls(void **state)
{
	(void)state;
	struct testbed tb;
	testbed_start(&tb, &(struct testbed_setup){.workers = 2, .detect = true, .mesh_tls = true});
	for (uint32_t seed = 31; seed <= 33; seed++)
		storm(&tb, seed);
	testbed_stop(&tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_of_relays),
		cmocka_unit_test(storm_of_races),
		cmocka_unit_test(storm_through_mesh_tls),
		cmocka_unit_test(storm_of_races_through_mesh_tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
