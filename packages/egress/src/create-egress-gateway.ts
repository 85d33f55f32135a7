import { createHash } from 'node:crypto';
import {
  type Clock,
  type EgressGateway,
  type EnvReference,
  type GatewayPlan,
  type Logger,
  type NetworkPort,
  type NetworkSpec,
  OpencodeToolsError,
  type SecretResolver,
  type Task,
  type TaskId,
  asJson,
  canonicalJson,
} from '@opencode-tools/core';
import { decide } from './decide.ts';
import { environmentOf } from './environment.ts';
import { GatewayFiles } from './gateway-files.ts';
import { gatewayFlags } from './gateway-program.ts';
import type { GatewayStatus, Told } from './gateway/gateway.ts';
import type { TaskPolicy } from './gateway/task-policy.ts';
import { logSize, readLog } from './read-log.ts';
import { type NamedPolicies, policyNamed } from './presets.ts';
import { type CountedPackets, logUnroutable, newPackets } from './unroutable-log.ts';
import { validatePolicy } from './validate-policy.ts';

export interface EgressGatewayOptions {
  /** Absolute directory of the home that the gateway has for its own; made when first needed. */
  readonly directory: string;
  readonly networks: NetworkPort;
  readonly secrets: SecretResolver;
  /** Policies by name, beside those that are built in. */
  readonly policies?: NamedPolicies;
  /** Name servers as `address` or `address:port`; those of the engine by default. */
  readonly nameServers?: readonly string[];
  /** PEM certificates of authorities that servers of terminated hosts may have, besides the public ones. */
  readonly upstreamAuthorities?: () => Promise<string>;
  /** Image with Node; null for one made of the Node that runs here. */
  readonly image?: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

const freshMs = 5_000;
const forceLimitMs = 20_000;
const pollMs = 40;
const startToleranceMs = 2_000;

/** Former values of headers that are still hidden. */
const mostFormer = 8;

type Values = Readonly<Record<string, string>>;

interface Enforced {
  readonly sandboxRef: string;
  readonly network: string;
  readonly at: number;
}

/** Makes the gateway of a home. Nothing is made on disk or engine before a task needs it. */
export function createEgressGateway(options: EgressGatewayOptions): EgressGateway {
  const gateway = new HomeGateway(options);
  const files = new GatewayFiles(options.directory);
  return {
    decide,
    validate: (network) => validatePolicy(network),
    named: (names) => policyNamed(names, options.policies ?? {}),
    prepare: async (task) => {
      if (task.sandboxSpec.network.mode === 'fixed-none') return undefined;
      await gateway.plan();
      return files.filesFor(task.id);
    },
    enforce: (task, ref, { anew = false } = {}) => gateway.enforce(task, ref, anew),
    release: (taskId, ref) => gateway.release(taskId, ref),
    environment: async ({ id, sandboxSpec }) =>
      sandboxSpec.network.mode === 'policy' ? environmentOf(sandboxSpec.network, await files.readPolicy(id)) : {},
    injectedValues: (task) => gateway.injectedValues(task),
    noteUnroutable: (taskId, counted) => gateway.noteUnroutable(taskId, counted),
    logPosition: (taskId) => logSize(files.logFile(taskId)),
    readLog: async (taskId, { from = 0, limit, deniedOnly = false }) => {
      const entries = await readLog(files.logFile(taskId), from);
      return entries.filter(({ allowed }) => !deniedOnly || !allowed).slice(-limit);
    },
    list: () => options.networks.list(),
  };
}

class HomeGateway {
  readonly #options: EgressGatewayOptions;
  readonly #files: GatewayFiles;
  readonly #enforced = new Map<TaskId, Enforced>();
  readonly #values = new Map<TaskId, readonly Values[]>();
  readonly #turns = new Map<TaskId, Promise<unknown>>();

  constructor(options: EgressGatewayOptions) {
    this.#options = options;
    this.#files = new GatewayFiles(options.directory);
  }

  async plan(): Promise<GatewayPlan> {
    const { nameServers = [], upstreamAuthorities, image = null, clock } = this.#options;
    const settings = { v: 1, nameServers, upstreamAuthorities: (await upstreamAuthorities?.()) ?? '' } as const;
    const { main, version } = await this.#files.ensure(settings, clock.nowMs());
    const user = await this.#files.owner();
    const argv = [...gatewayFlags, `/egress/program/${main}`];
    return { directory: this.#files.directory, argv, user, version, image };
  }

  /** One at a time per task: two would write each other's policy. */
  enforce(task: Task, ref: string, anew: boolean): Promise<void> {
    return this.#inTurn(task.id, async () => {
      const known = this.#enforced.get(task.id);
      const network = canonicalJson(asJson(task.sandboxSpec.network));
      const fresh = known !== undefined && performance.now() - known.at < freshMs;
      if (!anew && fresh && known.sandboxRef === ref && known.network === network) return;
      await this.#putInForce(task, ref, anew);
      this.#enforced.set(task.id, { sandboxRef: ref, network, at: performance.now() });
    });
  }

  /** The policy goes first: from then on the gateway carries nothing for the task. */
  release(taskId: TaskId, ref: string | null): Promise<boolean> {
    return this.#inTurn(taskId, async () => {
      this.#enforced.delete(taskId);
      this.#values.delete(taskId);
      const had = await this.#files.removePolicy(taskId);
      await this.#files.writeCounted(taskId, undefined);
      if (ref === null) await this.#files.removeNameServer(taskId);
      else await this.#files.writeNameServer(taskId, null);
      return (await this.#options.networks.detach(taskId, ref)) || had;
    });
  }

  noteUnroutable(taskId: TaskId, counted: CountedPackets): Promise<void> {
    return this.#inTurn(taskId, async () => {
      const before = await this.#files.readCounted(taskId);
      const packets = newPackets(before, counted);
      if (packets > 0)
        await logUnroutable(this.#files.logFile(taskId), new Date(this.#options.clock.nowMs()).toISOString(), packets);
      if (packets > 0 || before?.sandboxRef !== counted.sandboxRef) await this.#files.writeCounted(taskId, counted);
    });
  }

  /** Those that were handed over when the policy was put in force, else those that would be. */
  async injectedValues({ id, sandboxSpec: { network } }: Task): Promise<readonly Values[]> {
    const wanted = referencesOf(network);
    if (wanted.length === 0) return this.#values.get(id) ?? [];
    const known = this.#values.get(id);
    if (known !== undefined && wanted.every(({ name }) => known[0]?.[name] !== undefined)) return known;
    return [await this.#valuesOf(wanted, async () => this.#ask(await this.plan(), id))];
  }

  async #putInForce(task: Task, ref: string, anew: boolean): Promise<void> {
    const plan = await this.plan();
    const network = await this.#options.networks.attach(task.id, ref, plan);
    await this.#files.filesFor(task.id);
    await this.#files.writeNameServer(task.id, network.gatewayAddress);
    const policy = await this.#writePolicy(task, network);
    const status = await this.#waitUntilInForce(task.id, policy.digest, Date.parse(network.gatewayStartedAt));
    await this.#handOver(plan, task.id, policy.network, anew ? undefined : status.tasks[task.id]);
  }

  /** A policy that a newer version of the task brought stays. */
  async #writePolicy(
    task: Task,
    addresses: { readonly gatewayAddress: string; readonly sandboxAddress: string },
  ): Promise<TaskPolicy> {
    const { network } = task.sandboxSpec;
    const { gatewayAddress, sandboxAddress } = addresses;
    const content = { v: 1, taskId: task.id, gatewayAddress, sandboxAddress, network } as const;
    const digest = createHash('sha256')
      .update(canonicalJson(asJson(content)))
      .digest('hex');
    const policy: TaskPolicy = { ...content, digest, version: task.version };
    const before = await this.#files.readPolicy(task.id);
    if (before?.digest === digest) return before;
    if (before !== undefined && before.version > task.version && before.gatewayAddress === gatewayAddress)
      return before;
    await this.#files.writePolicy(policy);
    return policy;
  }

  async #waitUntilInForce(taskId: TaskId, digest: string, startedMs: number): Promise<GatewayStatus> {
    const deadline = performance.now() + forceLimitMs;
    for (;;) {
      const status = await this.#files.readStatus();
      const own = status !== undefined && Date.parse(status.startedAt) >= startedMs - startToleranceMs;
      if (own && status.tasks[taskId]?.digest === digest) return status;
      if (performance.now() > deadline) throw notInForce(taskId);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /**
   * Values go through a pipe into the gateway's memory. It says by their mark which it has: none after a restart, and former ones when they
   * have changed. A process in which they cannot be looked up leaves it at those.
   */
  async #handOver(
    plan: GatewayPlan,
    taskId: TaskId,
    network: NetworkSpec,
    present: GatewayStatus['tasks'][string] | undefined,
  ): Promise<void> {
    const wanted = referencesOf(network);
    if (wanted.length === 0) return;
    const has = present !== undefined && wanted.every(({ name }) => present.secrets.includes(name));
    const values = await this.#valuesOf(wanted, async () => (has ? this.#ask(plan, taskId) : undefined));
    const mark = await this.#options.secrets.mark([values]);
    if (present?.mark !== mark) await this.#tell(plan, { take: { [taskId]: { values, mark } } });
    const former = (this.#values.get(taskId) ?? []).filter((one) => canonicalJson(one) !== canonicalJson(values));
    this.#values.set(taskId, [values, ...former].slice(0, mostFormer));
  }

  /** @param otherwise gives them where they cannot be looked up */
  async #valuesOf(wanted: readonly EnvReference[], otherwise: () => Promise<Values | undefined>): Promise<Values> {
    try {
      return await this.#options.secrets.resolve(wanted);
    } catch (error) {
      const values = await otherwise().catch(() => undefined);
      if (values !== undefined && wanted.every(({ name }) => values[name] !== undefined)) return values;
      throw error;
    }
  }

  async #ask(plan: GatewayPlan, taskId: TaskId): Promise<Values> {
    return JSON.parse(await this.#tell(plan, { ask: taskId })) as Values;
  }

  #tell(plan: GatewayPlan, told: Told): Promise<string> {
    return this.#options.networks.tell(plan, ['tell'], JSON.stringify(told));
  }

  #inTurn<T>(taskId: TaskId, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(taskId) ?? Promise.resolve();
    const turn = before.then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(taskId, settled);
    void settled.then(() => {
      if (this.#turns.get(taskId) === settled) this.#turns.delete(taskId);
    });
    return turn;
  }
}

function referencesOf(network: NetworkSpec): readonly EnvReference[] {
  return network.rules.flatMap((rule) =>
    (rule.inject ?? []).map(({ header, secret }) => ({ ...secret, name: `${rule.name} ${header}` })),
  );
}

function notInForce(taskId: TaskId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_TIMEOUT', `The egress gateway did not take the policy of ${taskId} up`, {
    remedy:
      'Nothing leaves the sandbox until it does. Try again; docker has the log of the container oct-gateway-…, and `docker restart` of it helps where it hangs: the connections of all tasks end with it.',
    details: { limit: 'egress gateway', valueMs: forceLimitMs },
  });
}
