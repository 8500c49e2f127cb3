#include "proxy/name_answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool has(const struct name_answer *a, const struct ip *ip)
{
	for (size_t i = 0; i < a->n; i++)
		if (ip_eq(&a->ips[i], ip))
			return true;
	return false;
}

static bool same(const struct name_answer *a, const struct resolve_answer *got, bool in_order)
{
	if (a->n != got->n)
		return false;
	for (size_t i = 0; i < got->n; i++)
		if (in_order ? !ip_eq(&a->ips[i], &got->ips[i]) : !has(a, &got->ips[i]))
			return false;
	return true;
}

bool name_answer_take(struct name_answer *a, const struct resolve_answer *got, bool in_order)
{
	a->failed = got->err && got->err->kind != ERR_NOT_FOUND;
	if (a->failed)
		return false;
	bool is_same = a->answered && same(a, got, in_order);
	a->answered = true;
	a->ttl_s = got->n ? got->ttl_s : 0;
	if (a->ttl_s > NAME_TTL_MAX_S)
		a->ttl_s = NAME_TTL_MAX_S;
	if (is_same)
		return false;
	free(a->ips);
	a->n = got->n;
	a->ips = got->n ? mem_array(got->n, sizeof(*a->ips)) : NULL;
	for (size_t i = 0; i < got->n; i++)
		a->ips[i] = got->ips[i];
	return true;
}

void name_answer_fini(struct name_answer *a)
{
	free(a->ips);
	*a = (struct name_answer){0};
}
