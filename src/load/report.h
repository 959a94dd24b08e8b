/* report: the results of a run on standard output, for people or as one JSON object. */
#ifndef SENNIT_LOAD_REPORT_H
#define SENNIT_LOAD_REPORT_H

#include "load/run.h"

void report_print(struct run *run);
void report_print_json(struct run *run);

/* Figures that both show; -1 where there is none. */
double report_connects_per_s(const struct run *run);
double report_cpu_us_per_connect(const struct run *run);
double report_cpu_us_per_delivery(const struct run *run);
/* Growth of the server's memory by one client, from before the first connect to when all were idle. */
double report_bytes_per_client(const struct run *run, uint64_t before, uint64_t after);

#endif
