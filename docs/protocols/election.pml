/*
 * The term slots of packages/quorum, for the model checker Spin. election.md explains the rules E0–E9 and says how to
 * run this; tooling/model/check-election.mjs runs it and every mutant.
 *
 * Names are those of the code. A process that is not scheduled any more is a crash or a pause; a write that lands
 * late is a pause before the write, so nothing more is needed to model either.
 *
 *   -DVOTERS=n   candidates              -DTERMS=n   terms                    -DCOMMITS=n  records per server
 *   -DAGAIN      a server that was deposed, or is done, is a candidate again
 *   -DUNREADABLE=n  up to n terms could not be read and are marked void (E1)
 *
 * Mutants, each of which must be caught:
 *   -DNO_CHECK         no check after the record              brokenRules "commit-check"
 *   -DCHECK_NEXT_ONLY  the check stops at the next term       brokenRules "check-next-term-only"
 *   -DNO_SPLITTER      Y is not looked at before it is set    brokenRules "splitter"
 *   -DNO_VOID          what cannot be read is passed unmarked (with -DUNREADABLE)
 *   -DONE_HALF         records of a term share one block, and a crash may tear it   brokenRules "one-record-half"
 *   -DWRONG_HALF       adopts the record of half 0, newest or not
 *   -DREAD_FIRST       reads the records before it announces
 */
#ifndef VOTERS
#define VOTERS 3
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef COMMITS
#define COMMITS 1
#endif
#define VOID 99
#define TORN -1
#define NO_TERM 0

/* What the device holds, by term; 0 is pristine. half0 and half1 hold the log that the record commits to. */
byte x[TERMS + 2];
byte y[TERMS + 2];
short half0[TERMS + 2];
short half1[TERMS + 2];

/* What nobody in the protocol sees: who won each term, and the longest log that was acknowledged. */
byte winner[TERMS + 2];
short acknowledged = 0;
#ifdef UNREADABLE
byte unreadableCount = 0;
#endif

/* A log is a number in base 5, one digit per record: the writer. */
#define isPrefix(a, b) ((a) == 0 || (a) == (b) || (a) == (b) / 5 || (a) == (b) / 25 || (a) == (b) / 125 || (a) == (b) / 625 || (a) == (b) / 3125)
#define isTouched(t) (x[t] != 0 || y[t] != 0 || half0[t] != 0 || half1[t] != 0)

inline adoptNewest(below) {
  /* E5: from the top down; the halves are read one after the other. */
  adopted = 0; cursor = below - 1;
  do
  :: cursor == 0 -> break
  :: cursor > 0 ->
     record = half0[cursor];
     if :: record > adopted -> adopted = record :: else -> skip fi;
     record = half1[cursor];
#ifdef WRONG_HALF
     if :: adopted == 0 && record > adopted -> adopted = record :: else -> skip fi;
#else
     if :: record > adopted -> adopted = record :: else -> skip fi;
#endif
     if :: adopted != 0 -> break :: else -> cursor-- fi
  od;
  cursor = 0; record = 0
}

inline check(mine) {
  /* E7: a term whose X is touched and whose Y is not does not end the walk. */
  cursor = mine + 1; isDeposed = false;
#ifndef NO_CHECK
  do
  :: cursor > TERMS -> break
  :: cursor <= TERMS && y[cursor] != 0 -> isDeposed = true; break
  :: cursor <= TERMS && y[cursor] == 0 ->
#ifdef CHECK_NEXT_ONLY
     break
#else
     if :: x[cursor] != 0 -> cursor++ :: else -> break fi
#endif
  od;
#endif
  cursor = 0
}

active [VOTERS] proctype voter() {
  byte me = _pid + 1;
  byte term; byte cursor; byte left; bit half; bit isDeposed;
  short adopted; short record;

walk:
  /* E1: up to the first pristine term. */
  term = NO_TERM; cursor = 1;
  do
  :: cursor > TERMS -> goto out   /* E2: no term is left, and none is used again. */
  :: cursor <= TERMS && isTouched(cursor) -> cursor++
#ifdef UNREADABLE
  :: cursor < TERMS && !isTouched(cursor) && unreadableCount < UNREADABLE ->
#ifndef NO_VOID
     x[cursor] = VOID;
#endif
     unreadableCount++; cursor++
#endif
  :: cursor <= TERMS && !isTouched(cursor) -> term = cursor; break
  od;

#ifdef READ_FIRST
  adoptNewest(term);
#endif
  /* E3: the splitter. */
  x[term] = me;
#ifndef NO_SPLITTER
  if :: y[term] != 0 -> goto walk :: else -> skip fi;
#endif
  y[term] = 1;   /* E4: the announcement. */
  if :: x[term] != me -> goto walk :: else -> skip fi;
  d_step { assert(winner[term] == 0); winner[term] = me; }

#ifndef READ_FIRST
  adoptNewest(term);
#endif

  left = COMMITS; half = 0;
  do
  :: left == 0 -> break
  :: left > 0 ->
     left--; adopted = adopted * 5 + me;
     /* E6: halves alternate. Two copies of a half, written one after the other, never are damaged by one crash: one variable. */
#ifdef ONE_HALF
     if :: true -> skip :: true -> half0[term] = TORN; goto out fi;
     half0[term] = adopted;
#else
     if :: half == 0 -> half0[term] = adopted :: else -> half1[term] = adopted fi;
     half = 1 - half;
#endif
     check(term);
     if :: isDeposed -> break :: else -> skip fi;
     d_step {
       assert(isPrefix(acknowledged, adopted) || isPrefix(adopted, acknowledged));
       if :: adopted > acknowledged -> acknowledged = adopted :: else -> skip fi
     }
  od;
#ifdef AGAIN
  goto walk;
#endif
out: skip
}
