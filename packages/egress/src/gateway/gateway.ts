import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from './authority.ts';
import { DecisionLog } from './decision-log.ts';
import { Secrets } from './secrets.ts';
import { TaskGate } from './task-gate.ts';
import { type GatewaySettings, type TaskPolicy, parsePolicy } from './task-policy.ts';
import { UpstreamTrust } from './upstream-trust.ts';
import { Names } from './upstream.ts';

/** What the gateway says of itself, in `out/status.json`. */
export interface GatewayStatus {
  /** New with every start: what was only in memory is gone then. */
  readonly bootId: string;
  readonly startedAt: string;
  /** Per task with a policy in force: its digest, and which secrets are here. */
  readonly tasks: Readonly<Record<string, TaskStatus>>;
}

interface TaskStatus {
  readonly digest: string;
  readonly secrets: readonly string[];
  /** Tells the values of those secrets apart, and nothing about them; absent where there are none. */
  readonly mark?: string;
}

/** Values for injected headers by task, each by `<rule> <header>`, with their mark. */
export type SecretValues = Readonly<
  Record<string, { readonly values: Readonly<Record<string, string>>; readonly mark: string }>
>;

/** What the gateway is told on its own loopback. */
export type Told = { readonly take: SecretValues } | { readonly ask: string };

const pollMs = 150;
const policySuffix = '.json';

/** Keeps the gates of all tasks of a home as the policy files want them. A file that is absent or unreadable closes the gate. */
export class Gateway {
  readonly #root: string;
  readonly #gates = new Map<string, TaskGate>();
  readonly #opened = new Set<string>();
  readonly #secrets = new Secrets();
  readonly #status: { bootId: string; startedAt: string };
  readonly #seen = new Map<string, string>();
  readonly #shared;
  #written = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(root: string) {
    this.#root = root;
    this.#status = { bootId: randomUUID(), startedAt: new Date().toISOString() };
    mkdirSync(join(root, 'out/log'), { recursive: true });
    const settings = JSON.parse(readFileSync(join(root, 'settings.json'), 'utf8')) as GatewaySettings;
    const authority = {
      certificate: readFileSync(join(root, 'authority/certificate.pem'), 'utf8'),
      key: readFileSync(join(root, 'authority/key.pem'), 'utf8'),
    };
    this.#shared = {
      names: new Names(settings.nameServers),
      authority: new Authority(authority),
      trust: new UpstreamTrust(settings.upstreamAuthorities),
      secrets: this.#secrets,
    };
  }

  /** Follows the policy files until `stop`. */
  async run(): Promise<void> {
    await this.#look();
    this.#timer = setTimeout(() => void this.run(), pollMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const gate of this.#gates.values()) gate.close();
  }

  takeSecrets(values: SecretValues): void {
    for (const [taskId, { values: own, mark }] of Object.entries(values)) this.#secrets.take(taskId, own, mark);
    this.#report();
  }

  /** The values that a task has, for a process of the home that has to know what to hide. */
  valuesOf(taskId: string): Readonly<Record<string, string>> {
    return this.#secrets.valuesOf(taskId);
  }

  async #look(): Promise<void> {
    const policies = this.#readPolicies();
    for (const [taskId, gate] of this.#gates) if (!policies.has(taskId)) this.#drop(taskId, gate);
    for (const [taskId, policy] of policies) {
      try {
        if (policy !== 'unchanged') this.#take(taskId, policy);
        if (this.#opened.has(taskId)) continue;
        await this.#gates.get(taskId)?.open();
        this.#opened.add(taskId);
      } catch {
        // The address comes with the network, and a full disk takes no log; the next look tries again.
      }
    }
    this.#report();
  }

  /** The policies that hold now, by task; of a broken file there is none. */
  #readPolicies(): Map<string, TaskPolicy | 'unchanged'> {
    const found = new Map<string, TaskPolicy | 'unchanged'>();
    const directory = join(this.#root, 'policies');
    let names: readonly string[] = [];
    try {
      names = readdirSync(directory).filter((name) => name.endsWith(policySuffix));
    } catch {
      return found;
    }
    for (const name of names) {
      const taskId = name.slice(0, -policySuffix.length);
      const file = join(directory, name);
      try {
        const { mtimeNs, size, ino } = statSync(file, { bigint: true });
        const version = `${mtimeNs} ${size} ${ino}`;
        if (this.#seen.get(taskId) === version && this.#gates.has(taskId)) found.set(taskId, 'unchanged');
        else {
          const policy = parsePolicy(readFileSync(file, 'utf8'));
          if (policy?.taskId === taskId) found.set(taskId, policy);
          this.#seen.set(taskId, version);
        }
      } catch {
        // It went away, or cannot be read: no policy.
      }
    }
    return found;
  }

  #take(taskId: string, policy: TaskPolicy): void {
    const gate = this.#gates.get(taskId);
    this.#opened.delete(taskId);
    if (gate?.policy.gatewayAddress === policy.gatewayAddress && gate.policy.sandboxAddress === policy.sandboxAddress)
      return gate.update(policy);
    gate?.close();
    this.#gates.delete(taskId);
    const log = new DecisionLog(join(this.#root, 'out/log'), taskId);
    this.#gates.set(taskId, new TaskGate(policy, { ...this.#shared, log }));
  }

  #drop(taskId: string, gate: TaskGate): void {
    gate.close();
    this.#gates.delete(taskId);
    this.#opened.delete(taskId);
    this.#secrets.delete(taskId);
    this.#seen.delete(taskId);
  }

  #report(): void {
    const tasks = Object.fromEntries(
      [...this.#opened].map((taskId) => {
        const secrets = Object.keys(this.#secrets.valuesOf(taskId));
        const mark = this.#secrets.markOf(taskId);
        const marked = mark === undefined ? {} : { mark };
        return [taskId, { digest: this.#gates.get(taskId)?.policy.digest ?? '', secrets, ...marked }];
      }),
    );
    const status: GatewayStatus = { ...this.#status, tasks };
    const text = JSON.stringify(status);
    if (text === this.#written) return;
    const file = join(this.#root, 'out/status.json');
    try {
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file);
      this.#written = text;
    } catch {
      // A full disk, say. Whoever asks waits; connections of all tasks go on, and the next look tries again.
    }
  }
}
