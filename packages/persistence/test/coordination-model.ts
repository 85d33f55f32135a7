import type { ConflictStrategy, Task } from '@opencode-tools/core';

/** The paths of the model's world, and what each glob that is claimed in it covers. */
export const worlds: Readonly<Record<string, readonly string[]>> = {
  a: ['a'],
  'a/**': ['a', 'a/x', 'a/y.ts'],
  'a/x': ['a/x'],
  '*': ['a', 'b', 'c.ts'],
  'b/*': ['b/x', 'b/y.ts'],
  '**/*.ts': ['a/y.ts', 'b/y.ts', 'c.ts'],
  'b/[!y]': ['b/x'],
};

interface ModelLease {
  readonly slot: number;
  token: number;
  ttlMs: number;
  renewedMs: number;
}

export interface ModelClaim {
  readonly slot: number;
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** What should be true, kept as simply as it can be said. */
export class Model {
  readonly mode: Task['leaseMode'];
  readonly maxAgents: number;
  readonly strategy: ConflictStrategy;
  leases: ModelLease[] = [];
  claims: ModelClaim[] = [];
  todos = [{ state: 'open', text: 'begin', version: 1 }];
  lastToken = 0;
  status: Task['status'] = 'pending';
  nowMs: number;

  constructor(task: Task, nowMs: number) {
    this.mode = task.leaseMode;
    this.maxAgents = task.leaseMode === 'exclusive' ? 1 : task.maxAgents;
    this.strategy = task.conflictStrategy;
    this.nowMs = nowMs;
  }

  expired = (lease: ModelLease): boolean => lease.renewedMs + lease.ttlMs <= this.nowMs;
  lease = (slot: number): ModelLease | undefined => this.leases.find((lease) => lease.slot === slot);

  end(leases: readonly ModelLease[]): void {
    const slots = new Set(leases.map(({ slot }) => slot));
    this.leases = this.leases.filter((lease) => !slots.has(lease.slot));
    this.claims = this.claims.filter((claim) => !slots.has(claim.slot));
  }

  /** A call of a session renews its lease when a quarter of the ttl is over. */
  touch(lease: ModelLease): void {
    if (this.nowMs - lease.renewedMs > lease.ttlMs / 4) lease.renewedMs = this.nowMs;
  }

  /** Grants unless a live claim of another session is in the way; claims of expired leases make way. */
  claim(wanted: ModelClaim): boolean {
    const others = this.claims.filter((claim) => claim.slot !== wanted.slot && meets(wanted, claim));
    const stale = (claim: ModelClaim): boolean =>
      this.leases.some((lease) => lease.slot === claim.slot && this.expired(lease));
    if (this.strategy === 'reject' && others.some((claim) => !stale(claim))) return false;
    this.claims = this.claims.filter((claim) => !(others.includes(claim) && stale(claim)));
    this.claims.push(wanted);
    return true;
  }
}

function meets(a: ModelClaim, b: ModelClaim): boolean {
  const paths = (globs: readonly string[]): readonly string[] => globs.flatMap((glob) => worlds[glob] ?? []);
  const share = (left: readonly string[], right: readonly string[]): boolean =>
    paths(left).some((path) => paths(right).includes(path));
  return share(a.write, [...b.write, ...b.read]) || share(a.read, b.write);
}
