/*
 * Stories: what random schedules seldom meet, told on purpose.
 */
#ifndef SIM_STORIES_H
#define SIM_STORIES_H

/* All of them, a line each; 0 when everything held. */
int sim_stories(void);

#endif
