import { dirtyPolicies } from '../../domain/workspace-spec.ts';
import { conflictStrategies, leaseModes, taskStatuses } from '../../domain/task.ts';
import { taskOrders } from '../../ports/task-store.ts';
import type { AttemptService, SandboxService, SessionService, TaskService } from '../services.ts';
import {
  among,
  anObject,
  flag,
  list,
  members,
  number,
  optional,
  options,
  orNull,
  record,
  tagged,
  text,
} from './shape.ts';
import { type VerbsOf, call, command, page, session, someLimits, underSession } from './shapes.ts';

const labels = record(text);
const graceful = options<{ readonly graceMs?: number }>({ ...session, graceMs: optional(number) });

export const taskVerbs: VerbsOf<TaskService> = {
  create: [
    [
      'input',
      options({
        title: text,
        description: optional(text),
        image: optional(text),
        workspace: optional(
          tagged('kind', {
            empty: {},
            directory: { path: text },
            git: { path: text, ref: optional(text), dirty: optional(among(dirtyPolicies)) },
            bind: { path: text },
          }),
        ),
        limits: optional(someLimits),
        network: optional(anObject),
        env: optional(list(anObject)),
        readOnlyRoot: optional(flag),
        ready: optional(flag),
        caches: optional(list(text)),
        runtime: optional(text),
        leaseMode: optional(among(leaseModes)),
        maxAgents: optional(number),
        conflictStrategy: optional(among(conflictStrategies)),
        labels: optional(labels),
        owner: optional(text),
        project: optional(text),
        parentId: optional(text),
        dependsOn: optional(list(text)),
        agent: optional(text),
        model: optional(text),
      }),
    ],
    ['call', call],
  ],
  // Of a call it looks at the key alone.
  resolve: [
    ['reference', text],
    ['call', optional(anObject)],
  ],
  get: [['id', text]],
  view: [['id', text]],
  list: [
    [
      'filter',
      options({
        status: optional(list(among(taskStatuses))),
        label: optional(members({ name: text, value: optional(text) })),
        agent: optional(text),
        parentId: optional(text),
        owner: optional(text),
        project: optional(text),
        bound: optional(flag),
        text: optional(text),
        createdAfter: optional(text),
        createdBefore: optional(text),
      }),
    ],
    ['page', optional(options({ ...page, order: optional(among(taskOrders)) }))],
  ],
  stop: [
    ['id', text],
    ['options', graceful],
    ['call', call],
  ],
  complete: [
    ['id', text],
    ['options', options({ ...session, summary: optional(text) })],
    ['call', call],
  ],
  cancel: [
    ['id', text],
    ['options', options({ ...session, reason: optional(text) })],
    ['call', call],
  ],
  update: [
    ['id', text],
    [
      'input',
      options({
        ...session,
        title: optional(text),
        description: optional(text),
        labels: optional(labels),
        setLabels: optional(labels),
        removeLabels: optional(list(text)),
        owner: optional(orNull(text)),
        project: optional(orNull(text)),
        parentId: optional(orNull(text)),
        dependsOn: optional(list(text)),
        expectedVersion: optional(number),
      }),
    ],
    ['call', call],
  ],
  fork: [
    ['id', text],
    ['options', options({ ...session, checkpoint: optional(text), title: optional(text) })],
    ['call', call],
  ],
  recover: [
    ['id', text],
    ['options', options({ checkpoint: optional(text), title: optional(text) })],
    ['call', call],
  ],
  recoverable: [],
  delete: [
    ['id', text],
    ['options', options({ ...session, dryRun: optional(flag), force: optional(flag) })],
    ['call', call],
  ],
  stats: [['id', optional(text)]],
};

const claims = { read: optional(list(text)), write: optional(list(text)) };

export const sessionVerbs: VerbsOf<SessionService> = {
  attach: [
    ['taskId', text],
    [
      'options',
      options({
        agent: text,
        model: optional(text),
        takeover: optional(flag),
        ttlMs: optional(number),
        waitMs: optional(number),
        claims: optional(members(claims)),
      }),
    ],
    ['call', call],
  ],
  detach: [
    ['sessionId', text],
    ['options', options({ reason: optional(text) })],
    ['call', call],
  ],
  renew: [['sessionId', text]],
  revoke: [
    ['taskId', text],
    ['options', options({ agent: optional(text), reason: optional(text) })],
    ['call', call],
  ],
  get: [['sessionId', text]],
  list: [['taskId', text]],
  claim: [
    ['sessionId', text],
    ['request', options(claims)],
    ['call', call],
  ],
  releaseClaims: [
    ['sessionId', text],
    ['options', options({ claimId: optional(text) })],
    ['call', call],
  ],
  claims: [['taskId', text]],
};

export const attemptVerbs: VerbsOf<AttemptService> = {
  start: [
    ['taskId', text],
    ['options', options({ count: number, checkpoint: optional(text), title: optional(text) })],
    ['call', call],
  ],
  list: [['taskId', text]],
  check: [
    ['taskId', text],
    ['options', options({ command, timeoutMs: optional(number) })],
    ['call', call],
  ],
  keep: [
    ['taskId', text],
    ['reference', text],
    ['options', options({ dryRun: optional(flag) })],
    ['call', call],
  ],
};

export const sandboxVerbs: VerbsOf<SandboxService> = {
  start: [
    ['id', text],
    ['options', underSession],
    ['call', call],
  ],
  stop: [
    ['id', text],
    ['options', graceful],
    ['call', call],
  ],
  restart: [
    ['id', text],
    ['options', graceful],
    ['call', call],
  ],
  pause: [
    ['id', text],
    ['call', call],
  ],
  unpause: [
    ['id', text],
    ['call', call],
  ],
  destroy: [
    ['id', text],
    ['options', underSession],
    ['call', call],
  ],
  update: [
    ['id', text],
    [
      'settings',
      options({ limits: optional(someLimits), readOnlyRoot: optional(flag), runtime: optional(orNull(text)) }),
    ],
    ['options', options({ ...session, recreate: optional(flag) })],
    ['call', call],
  ],
  requestLimits: [
    ['id', text],
    [
      'request',
      options({
        limits: members({ memoryBytes: optional(number), cpus: optional(number), pids: optional(number) }),
        reason: text,
      }),
    ],
    ['call', call],
  ],
  answerLimits: [
    ['id', text],
    ['answer', options({ granted: flag, reason: optional(text) })],
    ['call', call],
  ],
};
