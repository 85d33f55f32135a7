import type { Command } from '../../domain/execution.ts';
import type { ResourceLimits } from '../../domain/sandbox-spec.ts';
import { actorKinds } from '../../ledger/ledger-record.ts';
import type { PageRequest } from '../../ports/task-store.ts';
import type { Call, UnderSession } from '../call.ts';
import {
  type Members,
  type Shape,
  among,
  callback,
  list,
  members,
  number,
  optional,
  options,
  orNull,
  shape,
  tagged,
  text,
} from './shape.ts';

/** What a verb takes, in order. */
export type Takes<P extends readonly unknown[] = readonly never[]> = {
  readonly [I in keyof P]-?: readonly [name: string, shape: Shape<P[I]>];
};

/** All verbs of a service: one that is missing here does not compile. */
export type VerbsOf<S> = {
  readonly [V in keyof S as S[V] extends (...given: never) => unknown ? V : never]: S[V] extends (
    ...given: infer P
  ) => infer R
    ? R extends Promise<unknown>
      ? Takes<P>
      : { readonly atOnce: Takes<P> }
    : never;
};

const someText = shape<string>('text that is not empty', (value) => typeof value === 'string' && value.trim() !== '');
const signal = shape<AbortSignal>(
  'an AbortSignal',
  (value) => typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value,
);
/** What is null may be left out. */
const nullable = optional(orNull(text));

/** What verbs that only read take of a call. */
export const watched: Members<Pick<Call, 'signal' | 'onProgress'>> = {
  signal: optional(signal),
  onProgress: optional(callback),
};

/** The call of a verb, by which it is known among the arguments. */
export const call = members<Call>(
  {
    actor: members({
      kind: among(actorKinds),
      id: someText,
      agent: nullable,
      model: nullable,
      session: nullable,
      onBehalfOf: nullable,
    }),
    idempotencyKey: optional(text),
    correlationId: optional(text),
    signal: optional(signal),
    onProgress: optional(callback),
  },
  (unknown) =>
    unknown === 'sessionId' ? 'Give sessionId with the options of the verb, which come before its call.' : undefined,
);

/** For options of verbs that are made under a session. */
export const session: Members<UnderSession> = { sessionId: optional(text) };

export const someLimits = members<Partial<ResourceLimits>>({
  memoryBytes: optional(number),
  cpus: optional(number),
  pids: optional(number),
  tmpBytes: optional(number),
  workspaceBytes: optional(number),
});

export const page: Members<PageRequest> = { limit: optional(number), cursor: optional(text) };

export const command = tagged<Command, 'kind'>('kind', { argv: { argv: list(text) }, script: { script: text } });

export const underSession = options<UnderSession>(session);
