import type { OutputSummary } from '../domain/execution.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { OutputSink, OutputStream } from '../ports/task-memory.ts';
import { PreviewCollector } from './output-preview.ts';
import type { Redactor } from './redactor.ts';
import type { OutputPreview, RunCommand } from './services.ts';

/** How much of an output may be on its way to disk before more is taken. */
const mostPendingBytes = 1024 ** 2;

export interface RecordedOutputsOptions {
  readonly sinks: Readonly<Record<OutputStream, OutputSink>>;
  /** Of each output, how much is shown. */
  readonly outputLimitBytes: number;
  /** Of each output, how much is kept. */
  readonly maxOutputBytes: number;
  readonly onOutput: RunCommand['onOutput'];
  readonly lendsChunks?: boolean;
  /** Makes what takes secrets out of an output before anybody sees it. */
  readonly redactor?: () => Redactor;
}

interface Recorded {
  readonly sink: OutputSink;
  readonly preview: PreviewCollector;
  readonly redactor: Redactor | undefined;
  keptBytes: number;
  pendingBytes: number;
  /** Rejected for good when the disk is full. */
  writing: Promise<void> | undefined;
}

/** Both outputs of a command on their way to its task's memory, to its preview and to whoever watches. */
export class RecordedOutputs {
  readonly #streams: Readonly<Record<OutputStream, Recorded>>;
  readonly #maxOutputBytes: number;
  readonly #onOutput: RunCommand['onOutput'];
  readonly #lendsChunks: boolean;
  readonly #full = new AbortController();

  constructor({ sinks, outputLimitBytes, maxOutputBytes, onOutput, lendsChunks, redactor }: RecordedOutputsOptions) {
    const record = (sink: OutputSink): Recorded => {
      return {
        sink,
        preview: new PreviewCollector(outputLimitBytes),
        redactor: redactor?.(),
        keptBytes: 0,
        pendingBytes: 0,
        writing: undefined,
      };
    };
    this.#streams = { stdout: record(sinks.stdout), stderr: record(sinks.stderr) };
    this.#maxOutputBytes = maxOutputBytes;
    this.#onOutput = onOutput;
    this.#lendsChunks = lendsChunks === true;
  }

  /** Aborted when an output exceeds what is kept of one. */
  get full(): AbortSignal {
    return this.#full.signal;
  }

  /**
   * Takes the next chunk, and keeps no hold of it.
   *
   * @returns a promise when no more should come until it settles
   * @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` when the disk is full; whatever `onOutput` throws
   */
  take(stream: OutputStream, chunk: Uint8Array): Promise<void> | undefined {
    const { redactor } = this.#streams[stream];
    return this.#keep(stream, redactor === undefined ? chunk : redactor.take(chunk));
  }

  #keep(stream: OutputStream, chunk: Uint8Array): Promise<void> | undefined {
    const recorded = this.#streams[stream];
    const kept = chunk.subarray(0, this.#maxOutputBytes - recorded.keptBytes);
    if (kept.length < chunk.length) this.#full.abort();
    if (kept.length === 0) return undefined;
    recorded.keptBytes += kept.length;
    recorded.sink.write(kept);
    recorded.preview.add(kept);
    const seen = this.#onOutput?.(stream, this.#lendsChunks ? kept : Buffer.from(kept));
    const written = this.#written(recorded, kept.length);
    if (!(seen instanceof Promise)) return written;
    return written === undefined ? seen : Promise.all([seen, written]).then(() => undefined);
  }

  preview(stream: OutputStream): OutputPreview {
    return this.#streams[stream].preview.preview();
  }

  /** Waits until both are written. Idempotent. @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` when the disk is full */
  async close(): Promise<Readonly<Record<OutputStream, OutputSummary>>> {
    const [stdout, stderr] = await Promise.all([this.#close('stdout'), this.#close('stderr')]);
    return { stdout, stderr };
  }

  /** Closes what can be closed; the stream of one that failed is null. */
  async abandon(): Promise<Readonly<Record<OutputStream, OutputSummary | null>>> {
    const [stdout, stderr] = await Promise.allSettled([this.#close('stdout'), this.#close('stderr')]);
    return {
      stdout: stdout.status === 'fulfilled' ? stdout.value : null,
      stderr: stderr.status === 'fulfilled' ? stderr.value : null,
    };
  }

  /** One part is written while the next comes in; patience is asked for when that is full before the other is written. */
  #written(recorded: Recorded, bytes: number): Promise<void> | undefined {
    recorded.pendingBytes += bytes;
    if (recorded.pendingBytes < mostPendingBytes) return undefined;
    recorded.pendingBytes = 0;
    const before = recorded.writing;
    const writing = recorded.sink.drained().then(() => {
      if (recorded.writing === writing) recorded.writing = undefined;
    }, diskError);
    writing.catch(() => undefined);
    recorded.writing = writing;
    return before;
  }

  async #close(stream: OutputStream): Promise<OutputSummary> {
    const { redactor, sink } = this.#streams[stream];
    if (redactor !== undefined) await this.#keep(stream, redactor.end());
    return sink.close().catch(diskError);
  }
}

const fullDisk = ['ENOSPC', 'EDQUOT'];

/** @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` for a full disk, else the error as it is */
export function diskError(error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!fullDisk.includes(code)) throw error;
  throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', 'The disk of the home is full: the output cannot be kept', {
    remedy:
      'Free space on the disk of the home, or put out less; `opencode-tools db prune --output-days 30` removes old outputs.',
    details: { limit: 'disk' },
    cause: error,
  });
}
