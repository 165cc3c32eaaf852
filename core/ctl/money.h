/*
 * Sums of money in words.
 */
#ifndef CM_CTL_MONEY_H
#define CM_CTL_MONEY_H

struct json_object;

/* "0.43 kop.", "12.30 roubles": of the sum's field in roubles; malloc'd. */
char *cm_money_text(double roubles);
/* One line of a sum as the control protocol has it (docs/control.md, "costs"): "4 paid calls: 0.43 kop., …"; NULL when
 * there were no calls. malloc'd. */
char *cm_money_line(struct json_object *sum);

#endif
