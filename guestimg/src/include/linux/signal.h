/* SPDX-License-Identifier: GPL-2.0 */
/* The numbers and structures; there is nobody in a module to send one to. */
#ifndef _LINUX_SIGNAL_H
#define _LINUX_SIGNAL_H
#include <signal.h>
#endif
