/*
 * Joins calls and completions into operations, and refuses sequences that no recorder can have seen.
 */
import {
  HistoryFormatError,
  type CallEvent,
  type History,
  type HistoryEvent,
  type HistoryModel,
  type HistoryOperation,
  type OkEvent,
  type UnknownEvent,
} from "./history.ts";
import { ruleOf } from "./history-rules.ts";

interface OpenCall {
  readonly call: CallEvent;
  readonly at: number;
  completion: { readonly event: OkEvent | UnknownEvent; readonly at: number } | undefined;
}

/** Collects the events of one history, in order. */
export class HistoryBuilder {
  readonly model: HistoryModel;
  readonly note: string | undefined;
  readonly #events: HistoryEvent[] = [];
  readonly #calls = new Map<number, OpenCall>();
  readonly #busyClients = new Set<number>();
  readonly #retiredClients = new Set<number>();
  #time = Number.NEGATIVE_INFINITY;

  constructor(model: HistoryModel = "kv", note?: string) {
    this.model = model;
    this.note = note;
  }

  get events(): readonly HistoryEvent[] {
    return this.#events;
  }

  /**
   * Adds one event.
   *
   * @param line - For messages; by default the number of the event.
   * @throws {@link HistoryFormatError} when the event cannot follow the ones before it.
   */
  add(event: HistoryEvent, line: number = this.#events.length + 1): void {
    this.#checkTime(event, line);
    if (event.e === "call") this.#addCall(event, line);
    else this.#addCompletion(event, line);
    this.#events.push(event);
  }

  /**
   * The history so far; calls without completion count as unknown.
   *
   * @throws {@link HistoryFormatError} when it is empty.
   */
  finish(): History {
    if (this.#events.length === 0) throw new HistoryFormatError(0, "the history is empty");
    const operations = [...this.#calls.values()].map((open) => toOperation(open));
    return { model: this.model, note: this.note, events: this.#events, operations };
  }

  #checkTime(event: HistoryEvent, line: number): void {
    const { t } = event;
    if (t === undefined) return;
    if (!Number.isSafeInteger(t)) throw new HistoryFormatError(line, "t must be an integer");
    if (t < this.#time) throw new HistoryFormatError(line, `t goes backwards, from ${this.#time} to ${t}`);
    this.#time = t;
  }

  #addCall(call: CallEvent, line: number): void {
    ruleOf(this.model, call.f, line);
    if (this.#calls.has(call.id)) throw new HistoryFormatError(line, `second call of id ${call.id}`);
    if (this.#retiredClients.has(call.c)) {
      throw new HistoryFormatError(line, `client ${call.c} calls after an unknown outcome`);
    }
    if (this.#busyClients.has(call.c)) {
      throw new HistoryFormatError(line, `client ${call.c} has two outstanding calls`);
    }
    this.#busyClients.add(call.c);
    this.#calls.set(call.id, { call, at: this.#events.length, completion: undefined });
  }

  #addCompletion(event: OkEvent | UnknownEvent, line: number): void {
    const open = this.#calls.get(event.id);
    if (open === undefined) throw new HistoryFormatError(line, `completion of id ${event.id} without a call`);
    if (open.completion !== undefined) {
      throw new HistoryFormatError(line, `second completion of id ${event.id}`);
    }
    if (event.e === "ok" && !ruleOf(this.model, open.call.f, line).returns(event.out)) {
      throw new HistoryFormatError(line, `${open.call.f} cannot return ${JSON.stringify(event.out)}`);
    }
    open.completion = { event, at: this.#events.length };
    this.#busyClients.delete(open.call.c);
    if (event.e === "info") this.#retiredClients.add(open.call.c);
  }
}

function toOperation({ call, at, completion }: OpenCall): HistoryOperation {
  const { e: _event, t: _time, ...rest } = call;
  const outcome = completion?.event.e ?? "info";
  const isKnown = completion !== undefined && outcome !== "info";
  return {
    ...rest,
    calledAt: at,
    returnedAt: isKnown ? completion.at : Number.POSITIVE_INFINITY,
    outcome,
    out: completion?.event.e === "ok" ? (completion.event.out ?? null) : null,
  };
}
