/*
 * What calls cost: price lists, which are data, and the one calculation on them.
 *
 * A price is kept in micro-units of its currency, as it is told: for a million tokens, for a second or a minute of
 * audio. A cost is in nano-units, so that tokens at such a price come out exactly and the sum of many calls, each worth
 * less than a kopeck, is the sum on the invoice.
 */
#ifndef CM_DAEMON_PRICES_H
#define CM_DAEMON_PRICES_H

#include <stddef.h>
#include <stdint.h>

struct cm_complaints;

#define CM_PRICE_NONE (-1) /* not priced in this unit */

struct cm_price {
    char *model; /* "*": any that is not named */
    int64_t in_micro, out_micro;
    int64_t over_tokens; /* a question longer than this has the two prices below; 0: none has */
    int64_t over_in_micro, over_out_micro;
    int64_t audio_micro, audio_unit_ms;
    int64_t audio_step_ms; /* audio is billed in such steps, to the nearest; 0: exactly */
};

struct cm_price_list {
    char *name;         /* as the config says it */
    char currency[4];   /* "RUB", "USD" */
    int64_t unit_micro; /* roubles, 1e-6, for one of the currency; 0: not known */
    struct cm_price *prices;
    size_t count, room;
};

/* Owned by the caller; NULL with complaints. */
struct cm_price_list *cm_prices_read(const char *path, const char *name, struct cm_complaints *complaints);
void cm_prices_free(struct cm_price_list *list);

/* What was used; 0 where nothing was, or nothing is known. */
struct cm_used {
    const char *model; /* that answered */
    const char *asked; /* its price counts where that of the other is not known */
    int64_t tokens_in, tokens_out, audio_ms;
};

struct cm_cost {
    const char *currency; /* "": there is no price for this */
    int64_t billed_nano;  /* in the currency */
    int64_t rouble_nano;
    int guessed; /* priced by its audio, though its price goes by tokens */
};

/* list NULL: the instance has none. */
struct cm_cost cm_prices_cost(const struct cm_price_list *list, const struct cm_used *used);

#endif
