import type { Duplex } from 'node:stream';
import { randomBytes } from 'node:crypto';
import type { ByteStream, OutputHandler } from '@opencode-tools/core';
import { takeBytes } from '../engine/engine-socket.ts';
import { Demultiplexer } from './demultiplex.ts';
import { feed } from './feed.ts';
import { ResultSplitter } from './result-splitter.ts';
import { encodeRun, type RunFrame } from './run-frame.ts';
import { parseRunResult, type RunResult } from './run-result.ts';
import { Valve } from './valve.ts';

/** Handlers that never throw; both outputs wait for a promise that either of them returns. */
export interface LaneOutput {
  readonly onStdout: OutputHandler;
  readonly onStderr: OutputHandler;
}

interface SplitOutput {
  readonly onStdout: (chunk: Uint8Array) => void;
  readonly onStderr: (chunk: Uint8Array) => void;
}

export class LaneLostError extends Error {
  override readonly name: string = 'LaneLostError';
}

/** The supervisor is of an earlier version, which does not know what it was asked. */
export class UnknownRequestError extends LaneLostError {
  override readonly name = 'UnknownRequestError';
}

/** Ending many processes takes a supervisor some seconds at worst; past this the lane counts as broken. */
const answerLimitMs = 15_000;
/** A supervisor that only just starts, on a machine that starts others, may take longer. */
const helloLimitMs = 60_000;

/** Most supervisors that are just started answer before; whoever waits longer is told of a stop of the container within about a second. */
const firstLookMs = 100;
const nextLookMs = 1_000;
const mostLookMs = 30_000;

const ignore = (): void => undefined;

/**
 * A standing stream to a supervisor in the sandbox. It belongs to one process, runs one command at a time, and is never
 * used again once broken, or once a command left processes behind that still hold its streams.
 */
export class Lane {
  readonly #stream: Duplex;
  #isFull = false;
  readonly #stdout = new ResultSplitter(() => this.#isFull);
  readonly #stderr = new ResultSplitter(() => this.#isFull);
  #usable = true;
  #valve: Valve | undefined;
  readonly #isGone: () => Promise<boolean>;
  #look: NodeJS.Timeout | undefined;
  #lookAfterMs = firstLookMs;
  #heard = false;

  /** @param isGone whether the container has stopped since this was opened; asked while an answer stays away */
  constructor(stream: Duplex, isGone: () => Promise<boolean> = async () => false) {
    this.#stream = stream;
    this.#isGone = isGone;
    const demultiplexer = new Demultiplexer(
      (chunk) => this.#stdout.push(chunk),
      (chunk) => this.#stderr.push(chunk),
    );
    for (const event of ['end', 'close', 'error']) stream.on(event, () => this.#lose());
    takeBytes(stream, (bytes) => {
      this.#heard = true;
      demultiplexer.push(bytes);
    });
  }

  /** Calls back when the stream has ended. */
  onLost(callback: () => void): void {
    this.#stream.once('close', callback);
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Finds out that a supervisor listens. */
  async hello(): Promise<void> {
    await this.#ask((nonce) => `hello ${nonce}\n`, ignore, helloLimitMs);
  }

  /** Sends a control request such as `all <nonce> 9`. */
  async control(verb: 'init' | ControlVerb, ...words: readonly (number | bigint)[]): Promise<ControlAnswer> {
    const answer = await this.#ask((nonce) => `${[verb, nonce, ...words].join(' ')}\n`);
    const [outcome, count] = answer.split(' ');
    if (outcome === 'unknown') {
      this.close();
      throw new UnknownRequestError(`The supervisor of the sandbox does not know ${verb}`);
    }
    if (outcome !== 'ok' && outcome !== 'left' && outcome !== 'lower') throw this.#broken(answer);
    return { outcome, count: Number(count ?? 0) };
  }

  /** Asks about a command in the background; what is put out before the answer goes to `onData`. */
  async spool(
    verb: 'look' | 'pull' | 'signal' | 'eof' | 'forget',
    words: readonly number[],
    onData: (chunk: Buffer) => void = ignore,
  ): Promise<string> {
    return this.#ask((nonce) => `${[verb, nonce, ...words].join(' ')}\n`, onData);
  }

  /**
   * Has the supervisor keep its next command in the background, and end it after so many seconds. False, and the lane is lost, when it is
   * of a version that does not know how, or gone.
   */
  async keepsNext(limitSeconds: number): Promise<boolean> {
    try {
      return (await this.control('keep', limitSeconds)).outcome === 'ok';
    } catch (error) {
      if (error instanceof LaneLostError) return false;
      throw error;
    }
  }

  /** Hands a command over to a supervisor that keeps it in the background. Returns how that went; the stream ends. */
  async handOver(frame: Omit<RunFrame, 'nonce'>): Promise<string> {
    try {
      return await this.#ask((nonce) => encodeRun({ ...frame, nonce }));
    } finally {
      this.close();
    }
  }

  /** Runs one command to its end. Standard input uses the lane up; a stream for it never throws. */
  async run(frame: Omit<RunFrame, 'nonce'>, output: LaneOutput, stdin?: Uint8Array | ByteStream): Promise<RunResult> {
    const valve = new Valve({ pause: () => this.#pause(), resume: () => this.#resume() });
    this.#valve = valve;
    this.#hold(true);
    try {
      const through = { onStdout: valve.through(output.onStdout), onStderr: valve.through(output.onStderr) };
      const result = parseRunResult(await this.#send(frame, through, stdin));
      if (frame.withStdin || (result.kind === 'ended' && result.leftovers)) this.#retire();
      return result;
    } finally {
      valve.release();
      this.#hold(false);
    }
  }

  /** No longer waits for whoever takes the output of the command that runs: it is about to end. */
  flow(): void {
    this.#valve?.release();
  }

  /** Asks the supervisor, out of turn, to end the command that runs; the command's own result follows. */
  end(execution: number): void {
    if (this.#usable) this.#stream.write(`end ${execution}\n`);
  }

  close(): void {
    this.#usable = false;
    this.#stream.destroy();
  }

  async #send(
    frame: Omit<RunFrame, 'nonce'>,
    output: SplitOutput,
    stdin: Uint8Array | ByteStream | undefined,
  ): Promise<string> {
    const nonce = randomBytes(16).toString('hex');
    const request = encodeRun({ ...frame, nonce });
    const answer = this.#answer(nonce, output);
    this.#stream.write(request);
    if (!frame.withStdin) return answer;
    const ended = new AbortController();
    void feed(this.#stream, stdin ?? new Uint8Array(), ended.signal);
    try {
      return await answer;
    } finally {
      ended.abort();
    }
  }

  async #ask(
    request: (nonce: string) => string,
    onData: (chunk: Buffer) => void = ignore,
    limitMs = answerLimitMs,
  ): Promise<string> {
    const nonce = randomBytes(16).toString('hex');
    const limit = setTimeout(() => this.close(), limitMs);
    this.#hold(true);
    try {
      const answer = this.#answer(nonce, { onStdout: (chunk) => onData(Buffer.from(chunk)), onStderr: ignore });
      this.#stream.write(request(nonce));
      return await answer;
    } finally {
      clearTimeout(limit);
      this.#hold(false);
    }
  }

  async #answer(nonce: string, output: SplitOutput): Promise<string> {
    const answers = [this.#stdout.expect(nonce, output.onStdout), this.#stderr.expect(nonce, output.onStderr)] as const;
    const [stdout, stderr] = await Promise.all(answers).catch((error: unknown) => {
      this.close();
      if (error instanceof LaneLostError) throw error;
      throw new LaneLostError('The stream to the sandbox is broken', { cause: error });
    });
    if (stdout !== stderr) throw this.#broken(`${stdout} | ${stderr}`);
    return stdout;
  }

  #pause(): void {
    this.#isFull = true;
    this.#stream.pause();
  }

  /** What came with the last of what was taken is first, and may be too much again. */
  #resume(): void {
    this.#isFull = false;
    this.#stdout.goOn();
    this.#stderr.goOn();
    if (!this.#isFull) this.#stream.resume();
  }

  #broken(answer: string): LaneLostError {
    this.close();
    return new LaneLostError(`Unexpected answer: ${JSON.stringify(answer.slice(0, 80))}`);
  }

  /** The supervisor goes; what a command left behind may write on, and is read, so that it never waits for a reader. */
  #retire(): void {
    this.#usable = false;
    this.#stream.end();
  }

  /** An idle lane does not keep the process alive. */
  #hold(busy: boolean): void {
    const socket = this.#stream as Duplex & { ref?: () => void; unref?: () => void };
    if (busy) socket.ref?.();
    else socket.unref?.();
    clearTimeout(this.#look);
    this.#look = undefined;
    if (busy) this.#watch(this.#lookAfterMs);
    this.#lookAfterMs = nextLookMs;
  }

  /**
   * An engine may leave the stream open of a process that it was starting when the container stopped. What has not come yet when nothing
   * came for a while, although it would be taken, does not come from a container that has stopped.
   */
  #watch(afterMs: number): void {
    this.#heard = false;
    const timer = setTimeout(() => {
      const isQuiet = (): boolean => !this.#heard && !this.#stream.isPaused();
      const looking = isQuiet() ? this.#isGone() : Promise.resolve(false);
      void looking.then((gone) => {
        if (this.#look !== timer) return;
        if (gone && isQuiet()) this.close();
        else this.#watch(Math.min(mostLookMs, Math.max(nextLookMs, 2 * afterMs)));
      });
    }, afterMs);
    this.#look = timer.unref();
  }

  #lose(): void {
    this.#usable = false;
    const error = new LaneLostError('The stream to the sandbox ended');
    this.#stdout.fail(error);
    this.#stderr.fail(error);
  }
}

/**
 * `admit` makes a mark known that no lane's command has, if the fence lets its token pass: a token and the mark. `keep` has a supervisor
 * keep its next command, which is its last, in the background: for so many seconds.
 */
export type ControlVerb = 'fence' | 'cut' | 'all' | 'admit' | 'keep' | RootVerb;

/**
 * Of the root file system. `made`: nobody has done anything yet. `same`: nothing has changed since. `mark` and a number: a new
 * beginning, which holds once it is sealed by `seal` and its number. The answer is `left` where that cannot be said.
 */
export type RootVerb = 'made' | 'same' | 'mark' | 'seal';

export interface ControlAnswer {
  readonly outcome: 'ok' | 'left' | 'lower';
  /** How many processes were ended or found; of a fence that is `lower`, the highest token that the sandbox knows. */
  readonly count: number;
}
