/*
** oracle.h: knows what really happened, and compares.
**
** It never uses the cursor or from_id and to_id to decide what is right: a pair is wanted when the
** subscription was there, in the writer's own view, at the moment the event was written.
** SPDX-License-Identifier: MIT
*/
#ifndef MODEL_ORACLE_H
#define MODEL_ORACLE_H

#include "scheme.h"

void oracle_reset(void);

/* What the application does. */
int oracle_emit(const struct event *event, int shape); /* returns its place, for event.truth */
void oracle_committed(void);
void oracle_undone(const struct app *before, const struct app *after); /* ROLLBACK, ROLLBACK TO */
void oracle_lost(const struct app *before, const struct app *after);   /* power loss, restore */
void oracle_app_synced(void);
bool oracle_place_free(
    int sub); /* nothing remembers the subscription that had this place; clears it */
void oracle_request(const struct request *request, int truth);
void oracle_restored(void);

/* What the dispatcher does. */
void oracle_filtered(int sub, int truth, bool out);
void oracle_send(const struct pair *pair, int shape);
void oracle_verdict(const struct pair *pair, bool final);
void oracle_ended(int sub, int event,
                  int created);     /* cancelled, expired: final without being sent */
void oracle_stops_no_more(int sub); /* `ordered` was switched */
void oracle_decided(int sub, int event, int created); /* it ends for another reason */
void oracle_spill(void);
void oracle_recorded(void); /* after each group commit */
void oracle_side_synced(void);
void oracle_removed(const struct event *event);
void oracle_forgot(int sub, int event, int created);
void oracle_consumed(const struct request *request, bool honoured);
void oracle_request_removed(const struct request *request);
void oracle_gone(int sub, int updated);         /* 410 from the target of that version */
void oracle_target_ended(int sub, int updated); /* … therefore the subscription ends */
void oracle_crashed(void);                      /* before the memory goes */
void oracle_power_lost(void);
void oracle_held(void);
void oracle_goes_back(void);
void oracle_adopted(void);

void oracle_check(void); /* all that must hold at any moment */
void oracle_check_drained(
    int hung); /* … when all that can be sent should have been; hung: an endpoint, or -1 */
void oracle_counts(void); /* prints what happened */

/* Ends the run. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
