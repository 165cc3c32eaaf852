/*
 * A disk that loses power: an SQLite VFS over the real one. What is written goes to the real files
 * at once, so that everybody reads it, and beside them is kept what was synced. At a power cut the
 * files become what a disk may then hold: all that was synced, and of the rest this and that.
 *
 * One disk a process. Files are told apart by their path; their folder should hold nothing else.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdint.h>

#include "tests/sim/random.h"

enum sim_cut {
    SIM_CUT_KILL = 1, /* the program ends: what was written stays */
    SIM_CUT_POWER     /* what was not synced stays, goes, or stays in pieces of a sector */
};

/* Makes it SQLite's default VFS. */
void sim_disk_install(void);
/* The cut comes at the `calls`-th write, sync, truncation or deletion from now on. */
void sim_disk_arm(enum sim_cut how, uint64_t seed, int64_t calls);
/* Now, unless it came already. Nobody may be writing. */
void sim_disk_cut(enum sim_cut how, uint64_t seed);
/* Whether it came. What is written after it does no harm: it will be gone. */
int sim_disk_is_cut(void);
/* After a cut, with all files closed: puts on the disk what survived. */
void sim_disk_restore(void);
/* All files closed and deleted: another story begins. */
void sim_disk_forget(void);

#endif
