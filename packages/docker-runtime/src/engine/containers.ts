import type { Duplex } from 'node:stream';
import type { EngineClient, EngineRequest } from './engine-client.ts';
import { hasStatus } from './engine-error.ts';
import { untilFrozen, untilMounted } from './try-again.ts';

/** The parts that we read of the engine's description of a container. */
export interface ContainerDescription {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Created: string;
  readonly State: {
    readonly Status: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly OOMKilled: boolean;
    readonly ExitCode: number;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly Config: {
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly Cmd: readonly string[] | null;
    readonly Env?: readonly string[] | null;
  };
  readonly Mounts: readonly { readonly Destination: string; readonly Name?: string }[];
  readonly HostConfig: {
    readonly Tmpfs?: Readonly<Record<string, string>> | null;
    readonly PidsLimit?: number | null;
    readonly ReadonlyRootfs?: boolean;
    readonly Mounts?: readonly { readonly Type: string; readonly Source?: string; readonly Target: string }[] | null;
    readonly Runtime?: string;
    readonly NetworkMode?: string;
  };
  readonly NetworkSettings?: {
    readonly Networks: Readonly<Record<string, { readonly NetworkID: string }>> | null;
  };
}

/** What we read of the engine's description of an exec. */
export interface ExecFacts {
  readonly Running: boolean;
  readonly ExitCode: number | null;
  /** On the host; 0 until it has begun. */
  readonly Pid: number;
}

interface ContainerRow {
  readonly Id: string;
}

const lifecycleLimitMs = 120_000;

/** Calls about containers. */
export class Containers {
  readonly #client: EngineClient;

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async create(name: string | undefined, options: object, signal?: AbortSignal): Promise<string> {
    const query = name === undefined ? {} : { name };
    const request = {
      method: 'POST',
      path: '/containers/create',
      query,
      body: options,
      limitMs: lifecycleLimitMs,
      signal,
    } as const;
    return (await this.#client.call<{ Id: string }>(request)).Id;
  }

  async find(ref: string): Promise<ContainerDescription | undefined> {
    return absentAsUndefined(
      this.#client.call<ContainerDescription>({ method: 'GET', path: `/containers/${encodeURIComponent(ref)}/json` }),
    );
  }

  async list(labels: readonly string[], filters: object = {}): Promise<readonly string[]> {
    const query = { all: true, filters: JSON.stringify({ label: labels, ...filters }) };
    const rows = await this.#client.call<readonly ContainerRow[]>({ method: 'GET', path: '/containers/json', query });
    return rows.map((row) => row.Id);
  }

  async act(id: string, verb: 'start' | 'pause' | 'unpause' | 'stop' | 'restart', query: object = {}): Promise<void> {
    const path = `/containers/${id}/${verb}`;
    const request = { method: 'POST', path, query: { ...query }, limitMs: lifecycleLimitMs } as const;
    await untilFrozen(async () => this.#client.call(request));
  }

  /** Sets what can change while a container runs. */
  async update(id: string, options: object): Promise<void> {
    await this.#client.call({ method: 'POST', path: `/containers/${id}/update`, body: options });
  }

  /** Absent is fine, and so is a removal that somebody else began. */
  async remove(id: string): Promise<void> {
    const query = { force: true, v: true };
    try {
      await this.#client.call({ method: 'DELETE', path: `/containers/${id}`, query, limitMs: lifecycleLimitMs });
    } catch (error) {
      if (hasStatus(error, 404)) return;
      if (!hasStatus(error, 409)) throw error;
      await this.#waitUntilRemoved(id);
    }
  }

  /** Connects to the main process's own streams. */
  async attach(id: string, options: { readonly stdin: boolean; readonly moves?: boolean }): Promise<Duplex> {
    const { stdin, moves = false } = options;
    const query = { stream: true, stdin, stdout: true, stderr: true };
    return this.#client.hijack({ method: 'POST', path: `/containers/${id}/attach`, query, moves });
  }

  /** Starts another process in a running container and connects to its streams. */
  async exec(
    id: string,
    options: { readonly user: string; readonly env: readonly string[]; readonly argv: readonly string[] },
  ): Promise<Duplex> {
    return (await this.open(id, options)).stream;
  }

  /** The same, to be asked about: `inspectExec` says how it ended. */
  async open(
    id: string,
    options: Parameters<Containers['exec']>[1] & { readonly tty?: boolean; readonly stdin?: boolean },
  ): Promise<{ readonly id: string; readonly stream: Duplex }> {
    const { user, env, argv, tty = false, stdin = true } = options;
    const streams = { AttachStdin: stdin, AttachStdout: true, AttachStderr: true, Tty: tty };
    const body = { User: user, Env: env, Cmd: argv, WorkingDir: '/', ...streams };
    const { Id } = await this.#client.call<{ Id: string }>({ method: 'POST', path: `/containers/${id}/exec`, body });
    const start = { method: 'POST', path: `/exec/${Id}/start`, body: { Detach: false, Tty: tty } } as const;
    return { id: Id, stream: await this.#client.hijack(start) };
  }

  async resizeExec(id: string, size: { readonly columns: number; readonly rows: number }): Promise<void> {
    const query = { h: size.rows, w: size.columns };
    await this.#client.call({ method: 'POST', path: `/exec/${id}/resize`, query });
  }

  /**
   * Starts a container, connected to its main process's streams before that begins.
   *
   * @param take gets the stream before the start, and again with another one should that have to be tried again
   */
  async startAttached<T>(
    id: string,
    options: Parameters<Containers['attach']>[1],
    take: (stream: Duplex) => T,
  ): Promise<T> {
    return untilMounted(async () => {
      const stream = await this.attach(id, options);
      // Whoever reads is told of it; until then it must not end the process.
      stream.on('error', () => undefined);
      const taken = take(stream);
      try {
        await this.act(id, 'start');
        return taken;
      } catch (error) {
        stream.destroy();
        throw error;
      }
    });
  }

  async inspectExec(id: string): Promise<ExecFacts> {
    return this.#client.call<ExecFacts>({ method: 'GET', path: `/exec/${id}/json` });
  }

  /** Unpacks a tar stream below a directory of a container, which need not run. */
  async unpack(id: string, directory: string, tar: NonNullable<EngineRequest['file']>): Promise<void> {
    const query = { path: directory };
    await this.#client.call({
      method: 'PUT',
      path: `/containers/${id}/archive`,
      query,
      file: tar,
      limitMs: lifecycleLimitMs,
    });
  }

  /** Resolves with the exit code of a container that has been started: at once when it does not run. */
  async wait(id: string, limitMs: number, signal?: AbortSignal): Promise<number> {
    const request = { method: 'POST', path: `/containers/${id}/wait`, limitMs, signal } as const;
    return (await this.#client.call<{ StatusCode: number }>(request)).StatusCode;
  }

  async #waitUntilRemoved(id: string): Promise<void> {
    const request = {
      method: 'POST',
      path: `/containers/${id}/wait`,
      query: { condition: 'removed' },
      limitMs: lifecycleLimitMs,
    } as const;
    await absentAsUndefined(this.#client.call(request));
  }
}

export async function absentAsUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}
