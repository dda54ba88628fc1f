// SPDX-License-Identifier: GPL-2.0
/* Beside nvidia.c: what a driver's package is asked for besides. It does nothing. */
#include <linux/module.h>

MODULE_DESCRIPTION("Stand-in of the lab for NVIDIA's memory module");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("580.95.05");
