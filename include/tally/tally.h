/* SPDX-License-Identifier: Apache-2.0 */
/** All of libtally. */
#ifndef TALLY_TALLY_H
#define TALLY_TALLY_H

#include <tally/error.h>
#include <tally/log.h>
#include <tally/metric.h>
#include <tally/monitor.h>
#include <tally/sample.h>

#endif
