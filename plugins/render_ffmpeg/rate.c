/*
 * The clip's picture rate: the source's, rounded to one that players and platforms are used to. Pure.
 */
#include "rate.h"

#include <math.h>
#include <stddef.h>

#define SLOWEST 20.0 /* below it the captions would visibly lag */
#define FASTEST 60.0

static const AVRational usual[] = {
    {24000, 1001}, {24, 1}, {25, 1}, {30000, 1001}, {30, 1}, {48, 1}, {50, 1}, {60000, 1001}, {60, 1},
};

static double value_of(AVRational rate)
{
    return rate.num > 0 && rate.den > 0 ? (double)rate.num / rate.den : 0;
}

/* A variable rate has a nominal one that its pictures lie on: to keep it loses none of them. */
static double source_rate(AVRational average, AVRational nominal)
{
    double mean = value_of(average), most = value_of(nominal);
    if (mean <= 0 || !isfinite(mean))
        return most > 0 && most <= FASTEST * 1.01 ? most : 25;
    return most > mean && most <= 2 * mean && most <= FASTEST * 1.01 ? most : mean;
}

AVRational rate_of(AVRational average, AVRational nominal, double asked)
{
    double wanted = asked > 0 ? asked : source_rate(average, nominal);
    size_t best = 0;
    if (asked > 0 && fabs(asked - round(asked)) < 1e-9)
        return (AVRational){(int)round(asked), 1};
    if (asked <= 0 && wanted < SLOWEST)
        return (AVRational){25, 1};
    while (asked <= 0 && wanted > FASTEST * 1.01) /* slow motion: every second or fourth picture */
        wanted /= 2;
    for (size_t i = 1; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (fabs(value_of(usual[i]) - wanted) < fabs(value_of(usual[best]) - wanted))
            best = i;
    if (asked > 0 && fabs(value_of(usual[best]) - asked) > 0.01)
        return av_d2q(asked, 1001000);
    return usual[best];
}
