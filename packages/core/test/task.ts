import type { Call } from '../src/services/services.ts';
import { type Task, defaultLimits } from '../src/index.ts';
import { homeId, taskId } from './records.ts';

export const call: Call = {
  actor: { kind: 'user', id: 'ada', agent: null, model: null, session: null, onBehalfOf: null },
  correlationId: 'call 1',
};

export const proof = {
  taskId,
  sessionId: 'ses_00000000000000000000000001',
  leaseId: 'lse_00000000000000000000000001',
  token: 7,
} as const;

export function taskWith(change: Partial<Task> = {}): Task {
  return {
    id: taskId,
    title: 'A task',
    description: '',
    status: 'pending',
    statusReason: null,
    leaseMode: 'exclusive',
    maxAgents: 1,
    conflictStrategy: 'reject',
    workspace: { mode: 'volume', path: '/workspace', source: { kind: 'empty' }, base: null },
    sandboxSpec: {
      image: 'base',
      imageId: 'sha256:base',
      limits: defaultLimits,
      network: { mode: 'fixed-none', rules: [] },
      env: [],
      user: { uid: 1000, gid: 1001 },
      readOnlyRoot: false,
      runtime: null,
    },
    labels: {},
    owner: null,
    project: null,
    parentId: null,
    dependsOn: [],
    forkedFrom: null,
    headCheckpointId: null,
    homeId,
    version: 3,
    createdAt: '2026-11-20T08:00:00.000Z',
    updatedAt: '2026-11-20T08:00:00.000Z',
    startedAt: null,
    endedAt: null,
    ...change,
  };
}
