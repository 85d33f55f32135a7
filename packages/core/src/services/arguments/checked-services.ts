import { OpencodeToolsError, isOpencodeToolsError } from '../../errors/opencode-tools-error.ts';
import type { Actor } from '../../ledger/ledger-record.ts';
import type { Call, Services } from '../services.ts';
import { executionVerbs } from './execution-verbs.ts';
import { fileVerbs } from './file-verbs.ts';
import { cacheVerbs, doctorVerbs, egressVerbs, housekeeperVerbs, ledgerVerbs, monitorVerbs } from './home-verbs.ts';
import { type Takes, type VerbsOf, call as callShape } from './shapes.ts';
import { attemptVerbs, sandboxVerbs, sessionVerbs, taskVerbs } from './task-verbs.ts';
import { checkpointVerbs, journalVerbs, workVerbs } from './work-verbs.ts';

const verbs: { readonly [S in keyof Services]: VerbsOf<Services[S]> } = {
  tasks: taskVerbs,
  sandboxes: sandboxVerbs,
  sessions: sessionVerbs,
  executions: executionVerbs,
  attempts: attemptVerbs,
  files: fileVerbs,
  egress: egressVerbs,
  caches: cacheVerbs,
  checkpoints: checkpointVerbs,
  work: workVerbs,
  journal: journalVerbs,
  ledger: ledgerVerbs,
  housekeeper: housekeeperVerbs,
  doctor: doctorVerbs,
  monitor: monitorVerbs,
};

type AnyVerb = (...given: unknown[]) => unknown;

/**
 * What every verb has in common, said once: it takes what it says and nothing else, and does nothing for a call that was cancelled before
 * it began, or when the home is closed. Verbs that call each other do so behind this.
 *
 * @param closing aborted when the home is closed
 */
export function checkedServices(services: Services, closing: AbortSignal | undefined): Services {
  const names = Object.keys(services) as (keyof Services)[];
  return Object.fromEntries(names.map((name) => [name, checked(services[name], verbs[name], closing)])) as never;
}

function checked(service: object, described: object, closing: AbortSignal | undefined): object {
  const given = Object.getOwnPropertyDescriptors(service) as Record<string, PropertyDescriptor>;
  for (const [name, verb] of Object.entries(described) as [string, Takes | { readonly atOnce: Takes }][]) {
    const work = given[name]?.value as AnyVerb;
    // The housekeeper is closed with the home.
    const until = name === 'close' ? undefined : closing;
    given[name] = {
      enumerable: true,
      value: 'atOnce' in verb ? atOnce(work, verb.atOnce, until) : later(work, verb, until),
    };
  }
  return Object.defineProperties({}, given);
}

function atOnce(work: AnyVerb, takes: Takes, closing: AbortSignal | undefined): AnyVerb {
  return (...given) => {
    if (closing?.aborted === true) throw isClosed();
    return work(...accepted(takes, given));
  };
}

function later(work: AnyVerb, takes: Takes, closing: AbortSignal | undefined): AnyVerb {
  const callAt = takes.findIndex(([, shape]) => shape === callShape);
  return async (...given) => {
    if (closing?.aborted === true) throw isClosed();
    const taken = accepted(takes, given);
    try {
      return await work(...taken);
    } catch (error) {
      throw ofAbort(error, (taken[callAt] as Call | undefined)?.signal) ?? error;
    }
  };
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_CANCELLED` */
function accepted(takes: Takes, given: readonly unknown[]): unknown[] {
  for (const [index, [name, shape]] of takes.entries()) shape.check(name, given[index]);
  return given.map((value, index) => (takes[index]?.[1] === callShape ? begun(value as Call) : value));
}

function begun(call: Call): Call {
  if (call.signal?.aborted === true)
    throw new OpencodeToolsError('OCT_CANCELLED', 'The call was cancelled before it began', {
      cause: call.signal.reason,
    });
  return { ...call, actor: whole(call.actor) };
}

/** A signal throws whatever it was aborted with. */
function ofAbort(error: unknown, signal: AbortSignal | undefined): OpencodeToolsError | undefined {
  if (signal?.aborted !== true || isOpencodeToolsError(error)) return undefined;
  if (error !== signal.reason && !(error instanceof Error && error.name === 'AbortError')) return undefined;
  return new OpencodeToolsError('OCT_CANCELLED', 'The call was cancelled', { cause: error });
}

/** A record has every member of its actor. */
function whole({ kind, id, ...more }: Pick<Actor, 'kind' | 'id'> & Partial<Actor>): Actor {
  const { agent = null, model = null, session = null, onBehalfOf = null } = more;
  return { kind, id, agent, model, session, onBehalfOf };
}

function isClosed(): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The home is closed', {
    remedy: 'Open the home again, and use the services that this gives.',
  });
}
