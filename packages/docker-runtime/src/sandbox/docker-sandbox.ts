import {
  type BackgroundCommands,
  type ExecOutcome,
  type ExecRequest,
  type ExecutionId,
  type Fence,
  type FileAccess,
  type LiveLimits,
  OpencodeToolsError,
  type RootChange,
  type SandboxFacts,
  type SandboxFiles,
  type SandboxHandle,
  type SandboxStats,
  type TerminalRequest,
} from '@opencode-tools/core';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineClient } from '../engine/engine-client.ts';
import { asPortError, hasStatus, saysNotRunning } from '../engine/engine-error.ts';
import { shellFiles } from '../files/shell-files.ts';
import type { Snapshots } from '../images/snapshot-root.ts';
import { LaneLostError } from '../lane/lane.ts';
import { executionNumber } from '../lane/run-frame.ts';
import { limitOptions } from '../plan/container-options.ts';
import { measureDirectory } from './measure-directory.ts';
import { RootWatch } from './root-watch.ts';
import { runCommand } from './run-command.ts';
import { mountsStand } from './read-back-mounts.ts';
import { sandboxFacts } from './sandbox-facts.ts';
import { notRunning, sandboxNotFound } from './explain-loss.ts';
import type { SandboxInside } from './sandbox-inside.ts';
import { type EngineStats, sandboxStats } from './sandbox-stats.ts';
import { updateError } from './update-error.ts';

const pollMs = 20;
const mostGraceMs = 60_000;

/** What the runtime gives a sandbox along. */
interface SandboxOwner {
  readonly onDestroyed: () => void;
  /** Whether host and engine see the same files. */
  readonly sharesFiles: () => Promise<boolean>;
}

/** One container, driven through the engine and through what of ours is inside. */
export class DockerSandbox implements SandboxHandle {
  readonly ref: string;
  readonly files: SandboxFiles;
  readonly background: BackgroundCommands;
  readonly #link: SandboxInside;
  readonly #client: EngineClient;
  readonly #root: RootWatch;
  readonly #snapshots: Snapshots;
  readonly #owner: SandboxOwner;

  constructor(link: SandboxInside, client: EngineClient, snapshots: Snapshots, owner: SandboxOwner) {
    this.ref = link.id;
    this.files = shellFiles(async (request) => this.exec(request), client.quietMs);
    this.background = link.background;
    this.#link = link;
    this.#client = client;
    this.#root = new RootWatch(link, client);
    this.#snapshots = snapshots;
    this.#owner = owner;
  }

  /** What reports results has another user, whatever is in the image. */
  get forgeableResults(): boolean {
    return false;
  }

  async inspect(): Promise<SandboxFacts> {
    return this.#doing('Looking at the sandbox', async () => sandboxFacts(await this.#link.describe()));
  }

  async exec(request: ExecRequest): Promise<ExecOutcome> {
    return runCommand(this.#link, request);
  }

  async runTerminal(request: TerminalRequest): Promise<ExecOutcome> {
    return this.#link.runTerminal(request);
  }

  async connect(): Promise<void> {
    await this.#doing('Opening a lane into the sandbox', async () => this.#link.connect());
  }

  async fence(fence: Fence): Promise<{ readonly ended: number }> {
    return this.#doing('Fencing the sandbox', async () => {
      assertFence(fence);
      const { outcome, count } = await this.#link.raise(fence);
      if (outcome === 'lower') throw lowered(fence, count);
      return { ended: count };
    });
  }

  async endExecution(executionId: ExecutionId): Promise<{ readonly ended: number }> {
    return this.#doing('Ending an execution', async () => {
      if (!(await this.#link.describe()).State.Running) return { ended: 0 };
      return { ended: await this.#link.cut(executionNumber(executionId)) };
    });
  }

  async endAll(): Promise<{ readonly ended: number }> {
    return this.#doing('Ending the processes of the sandbox', async () => {
      if (!(await this.#link.describe()).State.Running) return { ended: 0 };
      return { ended: await this.#link.endAll() };
    });
  }

  async start(): Promise<void> {
    await this.#doing('Starting the sandbox', async () => {
      const { State } = await this.#link.describe();
      if (State.Paused) await this.unpause();
      else if (!State.Running) await this.#link.start().catch(withoutSource);
    });
  }

  async mountsStand(access?: FileAccess): Promise<boolean> {
    return this.#doing('Looking at what the sandbox has mounted', async () =>
      mountsStand(this.#link, access, this.#owner.sharesFiles),
    );
  }

  async stop(graceMs: number): Promise<void> {
    await this.#doing('Stopping the sandbox', async () => {
      const { State } = await this.#link.describe();
      if (!State.Running) return;
      if (State.Paused) await this.unpause();
      if (graceMs > 0) await this.#askToEnd(Math.min(graceMs, mostGraceMs));
      await this.#link.containers.act(this.ref, 'stop', { t: 1 });
      this.#link.close();
    });
  }

  async pause(): Promise<void> {
    await this.#whileItRuns('paused', async () => this.#link.starts.pause());
  }

  async unpause(): Promise<void> {
    await this.#whileItRuns('unpaused', async () => this.#link.starts.unpause());
  }

  async update(limits: LiveLimits): Promise<void> {
    await this.#doing('Changing the limits of the sandbox', async () => {
      try {
        await this.#link.containers.update(this.ref, limitOptions(limits));
      } catch (error) {
        throw updateError(error, limits);
      }
    });
  }

  async destroy(): Promise<void> {
    await this.#doing('Removing the sandbox', async () => {
      await this.#link.containers.remove(this.ref);
      this.#link.close();
      this.#owner.onDestroyed();
    });
  }

  async rootChanges(): Promise<readonly RootChange[]> {
    return this.#doing('Listing changes of the root file system', async () => this.#root.list());
  }

  async rootIsUntouched({ insists = false } = {}): Promise<boolean> {
    return this.#doing('Looking at the root file system', async () => this.#root.isUntouched(insists));
  }

  async snapshotRoot(image: {
    readonly tag: string;
    readonly labels: Readonly<Record<string, string>>;
  }): Promise<{ readonly imageId: string }> {
    return this.#doing('Saving the root file system', async () =>
      this.#snapshots.save(await this.#link.describe(), image),
    );
  }

  async stats(): Promise<SandboxStats> {
    return this.#doing('Reading the use of resources', async () => {
      const query = { stream: false, 'one-shot': true };
      return sandboxStats(
        await this.#client.call<EngineStats>({ method: 'GET', path: `/containers/${this.ref}/stats`, query }),
      );
    });
  }

  async measure(directory: string): Promise<number | null> {
    return this.#doing('Measuring a directory of the sandbox', async () => {
      const { State } = await this.#link.describe();
      return State.Running && !State.Paused ? measureDirectory(this.#link, directory) : null;
    });
  }

  /** Ends what this process holds open; the sandbox lives on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#link.close();
  }

  async #askToEnd(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    let count = await this.#link.ask(15);
    while (count > 0 && performance.now() < deadline) {
      await delay(pollMs);
      count = await this.#link.ask(0);
    }
  }

  async #whileItRuns(state: 'paused' | 'unpaused', act: () => Promise<void>): Promise<void> {
    await this.#doing(`Bringing the sandbox to be ${state}`, async () => {
      try {
        await act();
      } catch (error) {
        if (!(await this.#link.describe()).State.Running) throw notRunning(this.ref, error);
        throw error;
      }
    });
  }

  async #doing<T>(doing: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (hasStatus(error, 404)) throw sandboxNotFound(this.ref);
      if (saysNotRunning(error)) throw notRunning(this.ref, error);
      throw asPortError(error instanceof LaneLostError ? await this.#link.explain(error) : error, doing);
    }
  }
}

/** A container keeps the paths of its mounts for good. */
function withoutSource(error: unknown): never {
  const [, path] = /bind source path does not exist: (.+)/.exec(error instanceof Error ? error.message : '') ?? [];
  if (path === undefined) throw error;
  throw new OpencodeToolsError('OCT_FILE_NOT_FOUND', `${path}, which the sandbox has mounted, is gone`, {
    remedy: 'Put it back, or have another sandbox made by the next command: `opencode-tools sandbox destroy`.',
    details: { path },
    cause: error,
  });
}

function assertFence(fence: Fence): void {
  if ([fence.minToken, ...fence.revoked].every((token) => Number.isInteger(token) && token >= 0)) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'A fence is made of whole numbers from 0', {
    details: { argument: 'fence' },
  });
}

function lowered(fence: Fence, highestToken: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STALE_FENCING_TOKEN', 'The fence of the sandbox is higher already', {
    details: { minToken: fence.minToken, highestToken },
  });
}
