import type { Claim, Lease, RecordPayload, StoredRecord, Task } from '@opencode-tools/core';
import { createGlob } from '@opencode-tools/core';

/** Records that end things on behalf of a token that has ended already. */
const endings = new Set([
  'lease.released',
  'lease.expired',
  'lease.revoked',
  'claim.ended',
  'session.detached',
  'session.lost',
]);

/**
 * Checks the whole history of one task against what coordination promises, from its records alone: tokens strictly increase, an
 * exclusive task never has two holders and a collaborative one never more than its agents, nothing is written under a token
 * that has ended, and under `reject` no two sessions ever hold claims that overlap.
 *
 * @returns what is wrong, in one line each
 */
export function historyFaults(records: readonly StoredRecord[]): readonly string[] {
  const history = new History();
  for (const record of records) history.add(record);
  return history.faults;
}

class History {
  readonly faults: string[] = [];
  readonly #active = new Map<string, Lease>();
  readonly #claims = new Map<string, Claim>();
  #task: Task | undefined;
  #lastToken = 0;
  #lastSeq = 0;

  add(record: StoredRecord): void {
    if (record.seq !== this.#lastSeq + 1) this.#fault(record, `follows ${this.#lastSeq}`);
    this.#lastSeq = record.seq;
    this.#checkToken(record);
    const { puts } = JSON.parse(record.payload ?? '{"puts":[]}') as RecordPayload;
    for (const put of puts) {
      if (put.noun === 'task') this.#task = put.value;
      if (put.noun === 'lease') this.#lease(record, put.value);
      if (put.noun === 'claim') this.#claim(record, put.value);
    }
  }

  /** What a token writes must come while its lease is active; a lease's own first and last records are about it. */
  #checkToken(record: StoredRecord): void {
    const { token, type } = record;
    if (token === null || type === 'lease.acquired' || endings.has(type)) return;
    if (![...this.#active.values()].some((lease) => lease.token === token))
      this.#fault(record, `token ${token} has ended`);
  }

  #lease(record: StoredRecord, lease: Lease): void {
    if (lease.state !== 'held' && lease.state !== 'pending') {
      if (!this.#active.delete(lease.id)) this.#fault(record, `lease ${lease.id} had ended before`);
      return;
    }
    if (record.type === 'lease.acquired') {
      if (lease.token <= this.#lastToken) this.#fault(record, `token ${lease.token} after ${this.#lastToken}`);
      this.#lastToken = lease.token;
    }
    this.#active.set(lease.id, lease);
    const most = this.#task?.leaseMode === 'collaborative' ? this.#task.maxAgents : 1;
    if (this.#active.size > most) this.#fault(record, `${this.#active.size} leases where ${most} are allowed`);
  }

  #claim(record: StoredRecord, claim: Claim): void {
    if (claim.state === 'ended') {
      if (!this.#claims.delete(claim.id)) this.#fault(record, `claim ${claim.id} had ended before`);
      return;
    }
    if (!this.#active.has(claim.leaseId)) this.#fault(record, `claim without a lease`);
    for (const other of this.#claims.values()) {
      if (other.sessionId === claim.sessionId || this.#task?.conflictStrategy !== 'reject') continue;
      if (meet(claim, other)) this.#fault(record, `claim overlaps ${other.id}`);
    }
    this.#claims.set(claim.id, claim);
  }

  #fault(record: StoredRecord, what: string): void {
    this.faults.push(`${record.seq} ${record.type}: ${what}`);
  }
}

function meet(a: Claim, b: Claim): boolean {
  const any = (left: readonly string[], right: readonly string[]): boolean =>
    left.some((glob) => right.some((other) => createGlob(glob).overlap(createGlob(other)) !== undefined));
  return any(a.write, [...b.write, ...b.read]) || any(a.read, b.write);
}
