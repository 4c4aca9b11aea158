#include <string.h>
#include "nearest.h"

#define NAME_MAX_COMPARED 63

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][NAME_MAX_COMPARED + 1];
	size_t rows_n = strlen(a), columns = strlen(b);

	if (rows_n > NAME_MAX_COMPARED || columns > NAME_MAX_COMPARED)
		return NAME_MAX_COMPARED + 1;
	for (unsigned j = 0; j <= columns; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= rows_n; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= columns; j++) {
			unsigned cost = a[i - 1] != b[j - 1];

			row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = smaller(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[rows_n % 3][columns];
}

void nearest_offer(struct nearest *nearest, const char *name)
{
	unsigned distance = edit_distance(nearest->wanted, name);

	if (nearest->best && distance >= nearest->distance)
		return;
	nearest->best = name;
	nearest->distance = distance;
}

const char *nearest_found(const struct nearest *nearest)
{
	size_t length = strlen(nearest->wanted);
	unsigned limit = length < 4 ? 1 : length < 8 ? 2 : 3;

	return nearest->best && nearest->distance <= limit ? nearest->best : NULL;
}
