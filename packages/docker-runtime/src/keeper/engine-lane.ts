import type { Duplex } from 'node:stream';
import type { ByteStream } from '@opencode-tools/core';
import { Demultiplexer } from '../lane/demultiplex.ts';
import { feed } from '../lane/feed.ts';
import type { LaneOutput } from '../lane/lane.ts';
import { type RunFrame, variablesOf, wordsOf } from '../lane/run-frame.ts';
import type { RunResult } from '../lane/run-result.ts';
import { Valve } from '../lane/valve.ts';
import { noRoom } from '../sandbox/explain-loss.ts';
import type { CommandLane } from '../sandbox/sandbox-inside.ts';
import { exitCodeOf } from './exit-code.ts';
import type { KeeperLink } from './keeper-link.ts';
import { keeperPath } from './keeper-options.ts';
import { needsShell } from './needs-shell.ts';

/** What the keeper ends with when the fence does not let a token pass. Commands may end with it, too. */
const refused = 125;
const killed = 137;
const cannotStart = 126;
const engineSays = 'OCI runtime exec failed';

/** One command as a process that the engine starts: the keeper, which asks the fence and becomes the command. */
export class EngineLane implements CommandLane {
  readonly #link: KeeperLink;
  #valve: Valve | undefined;
  #stream: Duplex | undefined;
  #closed = false;
  #ending = false;

  constructor(link: KeeperLink) {
    this.#link = link;
  }

  async run(frame: Omit<RunFrame, 'nonce'>, output: LaneOutput, stdin?: Uint8Array | ByteStream): Promise<RunResult> {
    if (frame.shell !== undefined) throw needsShell('A shell');
    if (frame.command.kind === 'script') throw needsShell('A script');
    const { uid, gid } = this.#link.user;
    const cuts = this.#link.cuts;
    const { id, stream } = await this.#link.containers.open(this.#link.id, {
      user: `${uid}:${gid}`,
      env: variablesOf(frame),
      argv: [keeperPath, 'run', String(frame.token), ...wordsOf(frame)],
      stdin: frame.withStdin,
    });
    this.#stream = stream;
    // Nothing was there to end when it was asked for.
    if (this.#ending) this.end();
    const ended = new AbortController();
    try {
      if (frame.withStdin) void feed(stream, stdin ?? new Uint8Array(), ended.signal);
      const began = await this.#read(stream, output);
      const exitCode = await exitCodeOf(this.#link.containers, id, () => !this.#closed);
      if (exitCode === cannotStart && began.startsWith(engineSays)) throw noRoom(this.#link.id, new Error(began));
      return await this.#result(frame.token, exitCode, cuts);
    } finally {
      ended.abort();
      stream.destroy();
    }
  }

  flow(): void {
    this.#valve?.release();
  }

  end(): void {
    this.#ending = true;
    this.#link.endAll().catch((error: unknown) => {
      this.#link.logger.debug('Processes could not be ended', { sandbox: this.#link.id, error: String(error) });
    });
  }

  close(): void {
    this.#closed = true;
    this.#stream?.destroy();
  }

  /** Passes on what the command puts out, to its end. Returns how its standard output began. */
  async #read(stream: Duplex, output: LaneOutput): Promise<string> {
    const valve = new Valve(stream);
    this.#valve = valve;
    let began: Buffer | undefined;
    const onStdout = valve.through(output.onStdout);
    const parts = new Demultiplexer((chunk) => {
      began ??= Buffer.from(chunk.subarray(0, 200));
      onStdout(chunk);
    }, valve.through(output.onStderr));
    await new Promise<void>((resolve) => {
      stream.on('data', (chunk: Buffer) => parts.push(chunk));
      stream.on('error', ignore).on('close', resolve).on('end', resolve);
    });
    valve.release();
    return began?.toString('utf8') ?? '';
  }

  /** Whoever was ended is told by what: a fence that excludes its token, or an end that this process asked for. */
  async #result(token: number, exitCode: number | null, cuts: number): Promise<RunResult> {
    if (exitCode === null) return { kind: 'lost' };
    const ended = { kind: 'ended', exitCode, signal: null, leftovers: false, stuck: false } as const;
    if (exitCode !== refused && exitCode !== killed) return { ...ended, note: 'none' };
    const wasKilled = { ...ended, exitCode: null, signal: 'SIGKILL' };
    if (!(await this.#link.admits(token)))
      return exitCode === refused ? { kind: 'refused' } : { ...wasKilled, note: 'fenced' };
    if (exitCode === refused) return { ...ended, note: 'none' };
    if (this.#link.cuts !== cuts) return { ...wasKilled, note: 'cut' };
    const container = await this.#link.afterLoss();
    return container?.State.Running === true ? { ...ended, note: 'none' } : { kind: 'lost' };
  }
}

const ignore = (): void => undefined;
