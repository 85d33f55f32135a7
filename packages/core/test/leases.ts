import type {
  Lease,
  LeaseProof,
  LeaseStore,
  ProcessRef,
  Session,
  SandboxHandle,
  SandboxFacts,
  TaskStore,
} from '../src/index.ts';
import { OpencodeToolsError, createIds } from '../src/index.ts';
import { kernelOver } from './kernel.ts';
import { homeId, taskId } from './records.ts';
import { proof } from './task.ts';

const nowMs = Date.parse('2026-11-20T09:00:00.000Z');

export function leaseWith(change: Partial<Lease> = {}): Lease {
  return {
    id: proof.leaseId,
    taskId,
    sessionId: proof.sessionId,
    mode: 'exclusive',
    token: proof.token,
    state: 'held',
    ttlMs: 60_000,
    acquiredAt: '2026-11-20T08:59:50.000Z',
    renewedAt: '2026-11-20T08:59:50.000Z',
    expiresAt: '2026-11-20T09:00:50.000Z',
    endedAt: null,
    ...change,
  };
}

export const session: Session = {
  id: proof.sessionId,
  taskId,
  leaseId: proof.leaseId,
  agent: 'build',
  model: 'm1',
  state: 'attached',
  ephemeral: false,
  attachedAt: '2026-11-20T08:59:50.000Z',
  endedAt: null,
  endReason: null,
};

export const ownProcess: ProcessRef = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };

export const leaseLost = (): OpencodeToolsError => new OpencodeToolsError('OCT_LEASE_LOST', 'taken over');

/** Says what the lease store, sandbox and registry were asked for, in order, and answers as the test sets. */
export class LeaseDesk {
  lease = leaseWith();
  active: readonly Lease[] = [this.lease];
  sandbox: { ref: string | null } | undefined = { ref: 'box' };
  handle: Partial<SandboxHandle> | undefined;
  state: SandboxFacts['state'] = 'running';
  openOperations: readonly unknown[] = [];
  renewals: (() => Promise<Lease>)[] = [];
  releasing: () => Promise<void> = async () => undefined;
  readonly asked: [string, unknown?][] = [];
  readonly warnings: [string, unknown][] = [];

  constructor() {
    this.handle = {
      ref: 'box',
      inspect: async () => ({ state: this.state }) as SandboxFacts,
      unpause: async () => void this.asked.push(['unpause']),
      fence: async (fence) => {
        this.asked.push(['fence', fence]);
        return { ended: 2 };
      },
    };
  }

  readonly kernel = kernelOver(
    {
      homeId,
      ids: createIds({ nowMs: () => nowMs }),
      processes: { self: () => ownProcess, isAlive: () => true },
      leases: {
        proofOf: async () => ({ lease: this.lease, session, proof }),
        acquire: async (request) => {
          this.asked.push(['acquire', request]);
          const { id: sessionId, leaseId } = request.session;
          this.lease = leaseWith({
            id: leaseId,
            sessionId,
            ttlMs: request.ttlMs,
            renewedAt: '2026-11-20T09:00:00.000Z',
          });
          return { lease: this.lease, displaced: [] };
        },
        confirm: async (by: LeaseProof) => {
          this.asked.push(['confirm', by]);
          return this.lease;
        },
        raiseTokens: async (by, seen) => void this.asked.push(['raiseTokens', { by, seen }]),
        renew: async (by: LeaseProof) => {
          this.asked.push(['renew', by]);
          return (this.renewals.shift() ?? (async () => this.lease))();
        },
        release: async (by, end) => {
          this.asked.push(['release', { by, end }]);
          return this.releasing();
        },
        listActive: async () => this.active,
      } as Partial<LeaseStore> as LeaseStore,
      tasks: {
        findSandbox: (async () => this.sandbox) as unknown as TaskStore['findSandbox'],
        listOpenOperations: (async () => this.openOperations) as unknown as TaskStore['listOpenOperations'],
      },
      runtime: { find: async (ref: string) => (ref === 'box' ? this.handle : undefined) } as never,
      memory: { touch: (id: unknown) => void this.asked.push(['touch', id]) } as never,
      defaults: { leaseTtlMs: 900_000 } as never,
      logger: {
        debug: () => undefined,
        info: () => undefined,
        warn: (text, more) => void this.warnings.push([text, more]),
      },
    },
    nowMs,
  );

  /** What was asked for by that name. */
  of(name: string): unknown[] {
    return this.asked.filter(([each]) => each === name).map(([, what]) => what);
  }
}
