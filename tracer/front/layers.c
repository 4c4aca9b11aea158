#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "layers.h"

enum layer { LAYER_WRAPPERS, LAYER_SITES, LAYER_DISPATCH, LAYER_PRCTL, LAYER_NET, LAYER_COUNT };

static const char *const layer_names[LAYER_COUNT] = { "wrappers", "sites", "dispatch", "prctl", "net" };

static int layer_find(const char *name, size_t length)
{
	for (int i = 0; i < LAYER_COUNT; i++)
		if (strlen(layer_names[i]) == length && !strncmp(name, layer_names[i], length))
			return i;
	return -1;
}

bool layers_apply(struct options *options, const char *list, char error[OPTIONS_ERROR])
{
	bool used[LAYER_COUNT] = { false };

	if (!list)
		return true;
	for (const char *at = list; *at; at += *at == ',') {
		size_t length = strcspn(at, ",");
		int layer = layer_find(at, length);

		if (layer < 0) {
			snprintf(error, OPTIONS_ERROR, "VTRACE_LAYERS: unknown layer '%.*s'; use wrappers, sites, dispatch, prctl, net",
				 (int)length, at);
			return false;
		}
		used[layer] = true;
		at += length;
	}
	options->no_patch |= !used[LAYER_WRAPPERS];
	options->no_sites |= !used[LAYER_SITES];
	options->no_agent |= !used[LAYER_DISPATCH] && !used[LAYER_PRCTL];
	options->no_net |= !used[LAYER_NET];
	options->remote_dispatch = used[LAYER_PRCTL];
	return true;
}
